"""torchvision's vision transformers (the papers' ImageNet-supervised ones)."""

from factortopy.backbones.base import UNTRAINED
from factortopy.backbones.fit import fit_weights
from factortopy.backbones.modules import IMAGENET, HookedBackbone
from factortopy.backbones.published import Url, console_progress
from factortopy.backbones.weights import read_weights, seeded


def load_torchvision(name, weights=None, label=None, on_progress=None):
    """A vision transformer of torchvision (``vit_b_16``); weights: None, "untrained" or a file in torchvision's names."""
    label = label or f"torchvision/{name}"
    if weights == "untrained":
        return wrap(seeded(lambda: build(name)), label + UNTRAINED, trained=False)
    if weights is None:
        weights = source_of(name).fetch(label, on_progress or console_progress(label))
    model = seeded(lambda: build(name))
    notices = fit_weights(model, read_weights(weights, label), str(weights), label, heads=("heads",))
    backbone = wrap(model, label)
    backbone.notices = notices
    return backbone


def build(name, **options):
    """The network with random weights, without its classifier."""
    import torch
    import torchvision

    # torchvision fills the classifier with zeros, whatever its size: it goes.
    model = torchvision.models.get_model(name, weights=None, **options)
    model.heads = torch.nn.Identity()
    return model


def source_of(name):
    """Where torchvision's default weights of the papers (IMAGENET1K_V1) lie."""
    import torchvision

    return Url(torchvision.models.get_model_weights(name).IMAGENET1K_V1.url)


def wrap(model, name, trained=True):
    """The network around torchvision's VisionTransformer."""
    layers = [f"encoder.layers.encoder_layer_{i}" for i in range(len(model.encoder.layers))]
    return HookedBackbone(
        model, layers, name, model.image_size, *IMAGENET, prefix=1, class_token=True, trained=trained,
        layer_names=[f"block {i + 1}" for i in range(len(layers))],
    )  # fmt: skip
