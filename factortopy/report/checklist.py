"""The findings of "Brain Decodes Deep Nets" (its Table 5 and text, from memory) as claims, each with its rule on a report's numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factortopy.report import rules
from factortopy.report.missing import PAPERS, RUNS, Missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from factortopy.report.evidence import Evidence

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be tested here"


@dataclass(frozen=True)
class Finding:
    """The verdict on a claim (HOLDS, FAILS or OPEN), with what the claim says of itself.

    ``explanation``: the numbers that the verdict rests on; of OPEN what is missing
    ``why``: of OPEN which kind of thing that is (``Missing.why``), else ""
    """

    claim: str
    source: str
    figures: tuple[str, ...]
    rule: str
    verdict: str
    explanation: str
    why: str = ""


@dataclass(frozen=True)
class Claim:
    """A finding of the paper as it is tested here.

    claim : a sentence; source : where the paper has it; figures : names of the report's that test it; rule : ``judge`` in words
    needs : what is missing where ``judge`` finds its numbers missing, or how that follows from the evidence
    judge : (whether the claim holds, the numbers in words); None where numbers are missing, Missing where it knows better why
    """

    claim: str
    source: str
    figures: tuple[str, ...]
    rule: str
    needs: Missing | Callable[[Evidence], Missing]
    judge: Callable[[Evidence], tuple[bool, str] | Missing | None]

    def judged(self, evidence: Evidence) -> Finding:
        """The ``Finding`` that the evidence of a report comes to."""
        outcome = self.judge(evidence)
        if outcome is None:
            outcome = self.needs if isinstance(self.needs, Missing) else self.needs(evidence)
        words = self.claim, self.source, self.figures, self.rule
        if isinstance(outcome, Missing):
            return Finding(*words, OPEN, outcome.what, outcome.why)
        holds, numbers = outcome
        return Finding(*words, HOLDS if holds else FAILS, re.sub(r"(^|[ (])-(?=\d)", "\\1−", numbers))


def checklist(evidence):
    """All claims judged.

    Parameters
    ----------
    evidence : Evidence, of a report

    Returns
    -------
    list of Finding, one a row of ``CLAIMS``
    """
    return [claim.judged(evidence) for claim in CLAIMS]


# ---------------------------------------------------------------- the claims

CLAIMS = (
    Claim(
        "Space, layer and scale are each needed to map a network onto the brain",
        "abstract, Table 3",
        ("ablation",),
        "without any one of the three factors mean R² falls, and most vertices are predicted worse",
        rules.new_fits("ablation"),
        rules.factors_matter,
    ),
    Claim(
        "The topology prior makes maps smooth without costing score",
        "Fig. 2, Table 3",
        ("topology", "ablation"),
        "more neighbours share a layer with it than without, and mean R² is lower by less than 0.01",
        rules.new_fits("topology"),
        rules.topology_helps,
    ),
    Claim(
        "Some trained networks are ordered as the brain is: later areas read later layers",
        "4.3, Table 2",
        ("hierarchy", "layer-maps"),
        "the slope's 95 % interval lies above 0 for at least one trained network",
        rules.without_slope,
        rules.hierarchy_aligns,
    ),
    Claim(
        "How a network was trained changes its hierarchy",
        "abstract, Table 2",
        ("hierarchy", "layer-shares"),
        "two networks of different training, fitted in the same way, have slopes whose 95 % intervals do not overlap",
        rules.without_slope,
        rules.objective_matters,
    ),
    Claim(
        "No network is the best everywhere: objectives suit different areas",
        "4.2, Table 1",
        ("distance", "score-maps"),
        "trained networks of two trainings or more, fitted in the same way, are each nearest to the best of all in some area, "
        f"by {rules.NEAREST} R² or more",
        rules.OBJECTIVES,
        rules.objectives_lead_somewhere,
    ),
    Claim(
        "Trained networks predict the brain better than untrained ones",
        "control, not of the paper",
        ("scores",),
        "every trained network has a larger mean R² than every untrained one fitted in the same way",
        Missing(RUNS, "needs an untrained network beside a trained one, fitted in the same way"),
        rules.training_helps,
    ),
    Claim(
        "Language supervision (CLIP) comes nearest to the best of all networks",
        "Table 1",
        ("distance",),
        "of trained networks fitted in the same way a CLIP network has the smallest difference to the best over all vertices",
        Missing(PAPERS, "needs CLIP beside networks of other objectives"),
        rules.clip_leads,
    ),
    Claim(
        "CLIP's hierarchy grows with capacity and data; other objectives scale otherwise",
        "abstract, Table 2, Figs. 17–22",
        ("hierarchy",),
        "the slope rises with every larger network clip-s … clip-xl",
        Missing(PAPERS, "needs CLIP in two sizes or more (clip-s to clip-xl)"),
        rules.slope_scales,
    ),
    Claim(
        "Where vertices look is retinotopic, learnt without being told",
        "Fig. 4, space selector",
        ("space-maps", "polar-angle", "eccentricity"),
        "more than 75 % of local vertices look at the side opposite to their hemisphere, for every trained network",
        rules.of_subject("needs both hemispheres and vertices that read local tokens"),
        rules.space_is_retinotopic,
    ),
    Claim(
        "Early areas read local tokens, late ones the global token",
        "Fig. 4",
        ("scale-maps",),
        "mean scale of the lowest level (V1) is below that of the highest (EBA) for every trained network",
        rules.of_subject("needs areas of two levels of the hierarchy"),
        rules.scale_rises,
    ),
    Claim(
        "Learnt layer weights find what a grid search over single layers finds",
        "Fig. 9",
        ("single-layers", "learnt-layers"),
        "the same layer more often than by chance, and depths correlate with r above 0.3",
        rules.new_fits("single"),
        rules.weights_find_layers,
    ),
    Claim(
        "Layer selection is the same from seed to seed",
        "Fig. 13",
        ("seeds",),
        "over pairs of seeds the vertices' mean layer correlates with r above 0.8",
        rules.new_fits("seeds"),
        rules.seeds_agree,
    ),
    Claim(
        "Without a regulariser that decays late enough, layer selection collapses",
        "Table 15, Fig. 26",
        ("decay", "decay-maps"),
        "nine of ten vertices on one layer with the shortest decay, and not with every longer one",
        rules.new_fits("decay"),
        rules.regulariser_prevents_collapse,
    ),
    Claim(
        "More pictures give better scores",
        "Figs. 10, 27",
        ("data", "data-maps"),
        "mean R² rises with every step of the amount of data",
        rules.new_fits("data"),
        rules.data_scales,
    ),
    Claim(
        "Channels are symmetric between hemispheres",
        "4.5",
        ("hemispheres",),
        "in most areas of every trained network its two halves are more alike than its left half and other areas' right ones",
        rules.of_subject("needs areas with vertices in both hemispheres"),
        rules.hemispheres_share_channels,
    ),
    Claim(
        "Channels grow more diverse from early to late areas",
        "4.5",
        ("diversity",),
        "diversity's rank correlation with the level of the hierarchy is positive for every trained network",
        rules.of_subject("needs areas of three levels of the hierarchy"),
        rules.diversity_rises,
    ),
    Claim(
        "Scores of late areas go along with accuracy on other tasks more than those of early ones (our reading of 4.1)",
        "4.1",
        ("score-accuracy",),
        "over networks, accuracy correlates with the mean R² of EBA more than with that of V1",
        Missing(
            RUNS, "needs the accuracy of three networks or more (fine-tuned here, or report --accuracy), V1 and EBA"
        ),
        rules.score_follows_accuracy,
    ),
    Claim(
        "A diffusion network's time steps map like layers: areas differ in the step that predicts them",
        "Fig. 5",
        ("time-steps", "time-scores"),
        "the step differs between the lowest and the highest area of the hierarchy",
        Missing(PAPERS, "needs sd-1.5 at several time steps, or one of its layers over time (sd-1.5:decoder-6)"),
        rules.diffusion_steps,
    ),
    Claim(
        "Networks ordered as the brain is forget less when they are fine-tuned",
        "abstract, Fig. 6, short paper",
        ("slope-lost",),
        "the rank correlation of slope with the share of the score that is lost is negative",
        rules.without_pairs,
        rules.tuning_forgets,
    ),
)
