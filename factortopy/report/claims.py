"""The findings of "Brain Decodes Deep Nets" (its table 5, and where each is shown) as claims, each with its rule on a report's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from factortopy.report import map_rules, rules
from factortopy.report.missing import Missing
from factortopy.report.tried import (
    COSINE,
    MOVED,
    R2,
    SCALE,
    SLOPE,
    WEIGHT,
    R,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from factortopy.report.evidence import Evidence
    from factortopy.report.tried import Tried


@dataclass(frozen=True)
class Claim:
    """A finding of the paper as it is tested here.

    claim : a sentence; source : where the paper has it; figures : names of the report's that test it; rule : ``judge`` in words
    judge : what the numbers come to, or what is missing
    """

    claim: str
    source: str
    figures: tuple[str, ...]
    rule: str
    judge: Callable[[Evidence], Tried | Missing]


CLAIMS = (
    Claim(
        "Space, layer and scale are each needed to map a network onto the brain",
        "abstract, Table 3",
        ("ablation",),
        f"without any one of the three factors mean R² falls by more than {R2}",
        rules.factors_matter,
    ),
    Claim(
        "The topology prior makes maps smooth without costing score",
        "Fig. 2, Table 3",
        ("topology", "ablation"),
        f"the share of neighbours on one layer is larger by more than {rules.SMOOTHER}, and mean R² is lower by less than {R2}",
        rules.topology_helps,
    ),
    Claim(
        "Some trained networks are ordered as the brain is: later areas read later layers",
        "4.3, Table 2",
        ("hierarchy", "layer-maps"),
        f"the slope of one trained network or more is above {SLOPE}",
        rules.hierarchy_aligns,
    ),
    Claim(
        "How a network was trained changes its hierarchy",
        "abstract, Table 2",
        ("hierarchy", "layer-shares"),
        f"slopes of two networks of different training, fitted in the same way, differ by more than {SLOPE}",
        rules.objective_matters,
    ),
    Claim(
        "CLIP aligns best with the hierarchy",
        "4.2, 4.3, Table 2",
        ("hierarchy",),
        f"the slope of a CLIP network is larger by more than {SLOPE} than that of every network of another training",
        rules.clip_aligns_best,
    ),
    Claim(
        "CLIP gains hierarchy with size and data",
        "4.3, D.3, Table 2, Fig. 17",
        ("hierarchy",),
        f"the slope of its largest network here is larger by more than {SLOPE} than that of its smallest",
        rules.clip_gains,
    ),
    Claim(
        "SAM, ImageNet, DINOv2, MoCo v3 and MAE lose hierarchy with size",
        "4.3, D.3, Table 2, Figs. 18–22",
        ("hierarchy",),
        f"of every such family here the slope of the largest network is smaller by more than {SLOPE} than that of the smallest",
        rules.others_shrink,
    ),
    Claim(
        "No network is the best everywhere: objectives suit different areas",
        "4.1, Fig. 3, Table 1",
        ("scores", "score-maps"),
        f"of {rules.TRAININGS} kinds of training or more two are each ahead of all others by more than {R2} R² in some area; it does not "
        "hold where nowhere any other is ahead of one of them by as much",
        rules.objectives_lead_somewhere,
    ),
    Claim(
        "MAE and SAM do relatively better in early areas, CLIP and DINOv2 in high-level ones",
        "4.1, D.1, Fig. 3, Tables 1, 13",
        ("scores",),
        f"the lead of MAE and SAM over CLIP and DINOv2 is larger in V1 than in EBA, by more than {R2} R²",
        rules.early_and_late_suit,
    ),
    Claim(
        "CLIP predicts best over all vertices",
        "Tables 1, 13",
        ("scores",),
        f"of trained networks fitted in the same way a CLIP network is ahead of all others by more than {R2} R²",
        rules.clip_leads,
    ),
    Claim(
        "Trained networks predict the brain better than untrained ones",
        "control, not of the paper",
        ("scores",),
        f"every trained network is ahead of every untrained one fitted in the same way by more than {R2} R²",
        rules.training_helps,
    ),
    Claim(
        "Subjects differ from network to network in the same way",
        "4.2, D.1, Figs. 4, 12, Table 13",
        ("scores",),
        f"in every pair of subjects the networks' scores by area go along: r above {R}, and beyond networks dealt at random",
        rules.subjects_agree,
    ),
    Claim(
        "Where vertices look is retinotopic, learnt without being told",
        "Fig. 4, space selector",
        ("space-maps", "polar-angle", "eccentricity"),
        f"in each hemisphere more than {map_rules.OPPOSITE:.0%} of local vertices look at the opposite side, for every trained network",
        map_rules.space_is_retinotopic,
    ),
    Claim(
        "Early areas read local tokens, late ones the global token",
        "4.5, Figs. 4, 7",
        ("scale-maps",),
        f"scale rises by more than {SCALE} from the lowest level to the highest, beyond areas dealt at random, for every trained network",
        map_rules.scale_rises,
    ),
    Claim(
        "First layers of CLIP and ImageNet lie on early areas, those of SAM, DINOv2, MAE and MoCo v3 do not",
        "D.2, Fig. 14",
        ("layer-maps", "weights"),
        f"the first third of the layers has more weight in V1 to V3 than elsewhere, by more than {WEIGHT} and beyond areas dealt at "
        "random, and by as much more than in the others",
        map_rules.first_layers_early,
    ),
    Claim(
        "Last layers of ImageNet and SAM lie on mid-level cortex",
        "D.2, Figs. 4, 15",
        ("layer-maps", "weights"),
        f"the last layer has more weight in {', '.join(map_rules.MIDDLE)} than elsewhere, by more than {WEIGHT} and beyond areas dealt "
        "at random",
        map_rules.last_layers_in_the_middle,
    ),
    Claim(
        "Last layers of DINOv2 and MAE lie nowhere",
        "D.2, Fig. 15",
        ("layer-maps", "weights"),
        "in every area the last layer has less than half of the weight that it would have if all layers were alike",
        map_rules.last_layers_nowhere,
    ),
    Claim(
        "Last layers of MoCo v3 lie on the late ventral more than the dorsal stream",
        "D.2, Fig. 15",
        ("layer-maps", "weights"),
        f"the last layer has more weight in {', '.join(map_rules.VENTRAL)} than in {', '.join(map_rules.DORSAL)}, by more than {WEIGHT} "
        "and beyond areas dealt at random",
        map_rules.last_layers_ventral,
    ),
    Claim(
        "Learnt layer weights find what a grid search over single layers finds",
        "5.1, Fig. 9",
        ("single-layers", "learnt-layers"),
        f"over areas, depths of both correlate in rank by more than {R}, and beyond areas dealt at random",
        rules.weights_find_layers,
    ),
    Claim(
        "Layer selection is the same from seed to seed",
        "D.2, Fig. 13",
        ("seeds",),
        f"over pairs of seeds the vertices' mean layer correlates with r above {rules.AGREE}",
        rules.seeds_agree,
    ),
    Claim(
        "Without a regulariser that decays late enough, layer selection collapses",
        "Table 15, Fig. 26",
        ("decay", "decay-maps"),
        f"with the shortest decay one layer has a share of the vertices that is larger by more than {rules.COLLAPSE} than the usual one's",
        rules.regulariser_prevents_collapse,
    ),
    Claim(
        "More pictures give better scores",
        "5.2, G, Figs. 10, 27",
        ("data", "data-maps"),
        f"mean R² is larger by more than {R2} with all pictures than with the fewest",
        rules.data_scales,
    ),
    Claim(
        f"{rules.ENOUGH:,} pictures suffice",
        "5.2, G, Figs. 10, 27",
        ("data", "data-maps"),
        f"all pictures, more than {rules.ENOUGH:,}, raise mean R² by less than {R2}",
        rules.enough_pictures,
    ),
    Claim(
        "Channels of early areas are symmetrical between hemispheres",
        "4.5, Fig. 7",
        ("hemispheres",),
        f"halves of V1, V2 and V3 are more alike than their left halves and other areas' right ones, by a cosine of more than {COSINE} and "
        "beyond areas dealt at random, for every trained network but SAM and MAE",
        map_rules.hemispheres_share_channels,
    ),
    Claim(
        "SAM's and MAE's channels of early areas are not as symmetrical",
        "4.5, Fig. 7",
        ("hemispheres",),
        f"that difference of cosines is smaller by more than {COSINE} than in every other network",
        map_rules.symmetry_of_others,
    ),
    Claim(
        "Early areas share channels, late ones differ in them",
        "4.5, Figs. 2, 7",
        ("diversity",),
        f"diversity rises by more than {map_rules.DIVERSE} from the lowest level to the highest, beyond areas dealt at random, for every "
        "trained network",
        map_rules.diversity_rises,
    ),
    Claim(
        "Scores of late areas go along with accuracy on other tasks more than those of early ones",
        "our question, not of the paper",
        ("score-accuracy",),
        f"over networks accuracy correlates with the mean R² of EBA more than with that of V1, beyond networks dealt at random and by {R} "
        "in Fisher's z",
        rules.score_follows_accuracy,
    ),
    Claim(
        "A diffusion network's late time steps predict better than early ones, in early and in late areas",
        "D.1, Table 13",
        ("time-scores",),
        f"in V1 and in EBA mean R² at T of {rules.LATE_STEPS} or more is larger by more than {R2} than at T of {rules.EARLY_STEPS} or less",
        rules.late_steps_predict,
    ),
    Claim(
        "A diffusion network's areas are separated by time step more than by layer",
        "4.2, D.2, Figs. 5, 16",
        ("time-steps", "layer-maps"),
        f"areas' mean steps lie further apart than areas' mean layers, by more than {WEIGHT} of the whole range",
        map_rules.steps_separate,
    ),
    Claim(
        "CLIP keeps its map when it is fine-tuned, others move theirs",
        "4.4, Fig. 6",
        ("tuning-shift", "tuning-maps"),
        f"every other network's mean layer moves further than CLIP's, by more than {MOVED} of the depth",
        map_rules.clip_keeps_its_map,
    ),
    Claim(
        "Accuracy after fine-tuning does not go with how far the map moved",
        "D.4, Table 14",
        ("accuracy",),
        "over networks their rank correlation lies between −0.5 and 0.5",
        rules.accuracy_is_apart,
    ),
    Claim(
        "Networks ordered as the brain is forget less when they are fine-tuned",
        "short paper, Table 1",
        ("slope-lost",),
        f"slope and the share of the score that is lost correlate in rank below −{R} over networks, beyond networks dealt at random",
        rules.tuning_forgets,
    ),
)

UNTESTED = (  # (finding, where the paper has it, why no rule can test it here)
    (
        "With size ImageNet and DINOv2 lose early layers, SAM, MAE and MoCo v3 late ones",
        "D.3, Table 2, Figs. 18–22",
        "the paper reads it from maps and tells no number that a rule could follow",
    ),
    (
        "A diffusion network's encoder layers are separated more than its decoder layers, and both more softly than a ViT's",
        "4.2, D.2, Figs. 5, 16",
        "the paper reads it from maps and tells no number that a rule could follow",
    ),
    (
        "Early areas of subject 3 are uncertain, subjects 2 and 3 lack the FFA of subject 1",
        "4.2, D.1, Figs. 4, 12",
        "it is of three people of NSD",
    ),
)
