"""What is known of the demo networks without torch: the registry's lines, which pages show before it is loaded."""

from factortopy.backbones.base import Entry
from factortopy.storage.home import assets_dir

INPUT_SIZE, PATCH, WIDTH, DEPTH = 112, 8, 128, 12
PARAMETERS = 2_404_224
OBJECTIVES = {
    "demo-vit": "supervised: categories of rendered pictures and the places of objects",
    "demo-mae": "masked reconstruction of rendered pictures (75 % of the patches hidden)",
}


def weights_path(name):
    """Where the weights that ship with the project lie."""
    return assets_dir() / "networks" / f"{name}.safetensors"


def demo_entries():
    """The registry's lines for the demo networks; ``available`` is looked up anew at every call."""
    return [
        Entry(
            name=name,
            library="factortopy",
            layers=DEPTH,
            width=WIDTH,
            objective=objective,
            licence="BSD-3-Clause",
            available=weights_path(name).is_file(),
            training_data="rendered pictures (drawings only)",
            input_size=INPUT_SIZE,
            patch=PATCH,
            parameters=PARAMETERS,
            source="benchmarks/make_demo_networks.py",
        )
        for name, objective in OBJECTIVES.items()
    ]
