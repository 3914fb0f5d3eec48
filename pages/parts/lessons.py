"""The nine lessons of the page Learn: questions, what to do, what comes out; figures from docs/demo.md, ablations.md, lab.md."""
# ruff: noqa: E501  (prose)

from dataclasses import dataclass, field

FIRST_RUN = "demo-vit_demo-1"  # what a visitor sees first


@dataclass(frozen=True)
class Then:
    """A second thing to do: what, on which page, in which state."""

    do: str
    page: str
    query: dict


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    question : asked first; do : what to do; page, query : what is opened, and what its address asks for; reveal : what came
    out, shown to those who have said what they expect; then : a second page to open
    """

    title: str
    question: str
    do: str
    page: str
    reveal: str
    query: dict = field(default_factory=dict)
    then: Then | None = None


LESSONS = (
    Lesson(
        "What an encoding model is",
        "A network has looked at 2,400 pictures, and a brain has answered the same pictures. How could one find out which parts "
        "of the network a place of the brain resembles, without ever looking at a neuron?",
        "Open **Your pictures**, switch between *Predicted* and *Measured (simulated)* for a test picture, and look for places where they "
        "agree and where they do not. Then click a place and read its two numbers.",
        "your_pictures",
        "An encoding model predicts a place's response from the network's features by weights that are learnt on some pictures and "
        "tried on others. What it predicts on pictures that it has *not* seen is the evidence: the brain score R². Measured responses "
        "are noisy, so that even a perfect model stays below 1; the noise ceiling says how far below. A good prediction says that the "
        "features carry the information, not that the brain computes it in the same way.",
        {"run": FIRST_RUN},
    ),
    Lesson(
        "Where a place looks",
        "Every place of early visual cortex answers to one part of the picture. Neighbours in the picture lie beside each other on "
        "the cortex. Which side of the picture does the left half of the brain see?",
        "Open **Explore** with the map *Space*, and go with the mouse along V1. Click some places in both halves: a ring shows where "
        "each looks.",
        "explore",
        "The left half sees the right side of the picture, and the other way round; the lower part of the picture lies above. Nobody told "
        "the encoder: each place learnt its point from pictures and responses alone. In this simulated subject the true points are "
        "known: the error in V1 is about 0.15 degrees of a picture 12 degrees wide.",
        {"run": FIRST_RUN, "map": "Space"},
    ),
    Lesson(
        "Layers and the visual hierarchy",
        "A network works in twelve layers, one after the other. Cortex has areas, one after the other: V1 first, face and place areas "
        "late. Will early areas choose early layers?",
        "Open **Explore** with the map *Layer*. Compare V1 with FFA: click both and look at the bars.",
        "explore",
        "For the network that learnt categories they do: blue (early) in V1, red (late) in FFA, slope about 0.68. It is not a law: the "
        "untrained network has a slope near 0 (one fit each). On real data the paper found slopes from 0.1 to 0.5, depending on network and training.",
        {"run": FIRST_RUN, "map": "Layer"},
        then=Then(
            "Then open **Compare** with this network and the same one with random weights, and read the hierarchy slope below the maps.",
            "compare",
            {"runs": f"{FIRST_RUN},demo-vit-untrained_demo-1", "map": "Layer", "score": "R²"},
        ),
    ),
    Lesson(
        "Local and global",
        'To name a picture "kitchen" you look at all of it; to see an edge you look at one point. Which places will read the whole '
        "picture at once?",
        "Open **Explore** with the map *Scale*: brown reads one point, purple the whole picture.",
        "explore",
        "Early areas read single points, high-level areas the whole picture. Where a place reads the whole picture, its point means "
        "nothing any more: that is why the map *Space* fades there.",
        {"run": FIRST_RUN, "map": "Scale"},
    ),
    Lesson(
        "Why nearby places should agree",
        "The encoder can let every place choose its layer alone, or ask neighbours to choose alike. Which of the two predicts better? "
        "Which map is easier to read?",
        "Open **Compare** with both encoders, map *Layer*. Zoom in on V1 with the wheel: is it of one colour? Then look at the scores by area.",
        "compare",
        "The scores are the same (mean R² 0.41 with and without), but with topology 92 % of neighbours share their best layer, without it "
        "30 %. When several explanations are equally good, the smooth one is easier to read; whether it is also the true one, scores cannot "
        "tell. The simulated subject's truth is smooth by construction.",
        {"runs": f"{FIRST_RUN},demo-vit-no-topology_demo-1", "map": "Layer", "score": "R²"},
    ),
    Lesson(
        "How much data is enough",
        "Scanning time is expensive. What happens to maps and scores when only a tenth of the pictures are there?",
        "Open **Compare** with 3,000 and with 300 pictures. Which areas lose most? Are the maps still the same?",
        "compare",
        "With 300 pictures the mean R², on the same 300 test pictures, falls from 0.41 to 0.35. Every area loses: PPA most, from 0.42 to 0.33, OPA "
        "from 0.45 to 0.38, V1 from 0.58 to 0.53, OFA least, from 0.43 to 0.39. The maps keep their broad lines, blue at the back and red in front, and lose detail and confidence. So how much data is enough depends on the question.",
        {"runs": f"{FIRST_RUN},demo-vit-300-pictures_demo-1", "map": "Layer", "score": "R²"},
    ),
    Lesson(
        "Same architecture, different objective",
        "Three networks have the same twelve blocks. One learnt to name what is in a picture, one to fill in hidden patches, one nothing "
        "at all (random weights). Which predicts V1 best, which FFA?",
        "Open **Compare** with all three, and look at the scores by area; then at the maps.",
        "compare",
        "In V1 they are close (0.58, 0.52, 0.45): local contrast is in any network, even a random one. In FFA they differ (0.42, 0.26, 0.19): "
        "categories have to be learnt. Be careful: this subject's high-level areas answer to categories by construction, so that the network "
        "trained on them has an advantage that it need not have with a real brain.",
        {"runs": f"{FIRST_RUN},demo-mae_demo-1,demo-vit-untrained_demo-1", "map": "Brain score", "score": "R²"},
    ),
    Lesson(
        "Retinotopy and category areas in silico",
        "In a scanner, moving bars map the visual field, and pictures of faces and places find their areas. Will a trained encoder, which "
        "has never seen a moving bar, show the same?",
        "Open the **Lab** and run *Retinotopy* (20 seconds), then *Localizer*. Compare with what was planted.",
        "lab",
        "It does: polar angle agrees with the planted one almost perfectly (circular r 0.99), the field's sign turns over at the "
        "borders of V1, V2 and V3, and face, body, place and word areas are found. But the *untrained* network gives a polar-angle map just as "
        "good: it comes from where tokens stand in the picture. A control tells what a result means.",
        {"run": FIRST_RUN, "experiment": "retinotopy"},
    ),
    Lesson(
        "What simulated data can and cannot tell",
        "Everything here was measured on a subject that is a computer program. Which of the things you saw would you believe of a real brain?",
        'Open the **Lab**, run *Retinotopy*, read "What to keep in mind" below the result, and make two lists: what it shows about the '
        "*method*, and what about *brains*.",
        "lab",
        "About the method a lot: since the truth is known, one can see whether maps are recovered, how much data that takes, and which "
        "controls are needed. About brains nothing: what goes in comes out. The next step is real data, such as the Natural Scenes Dataset: the "
        "pages stay the same.",
        {"run": FIRST_RUN, "experiment": "retinotopy"},
    ),
)
