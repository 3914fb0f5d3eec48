"""The part of a network that is trained, and the linear head on one of its layers."""

import numpy as np

from factortopy.errors import InputError, unexpected

CAN = "choose a network of timm, OpenCLIP or torchvision, or a demo network"


def trainable(backbone):
    """The torch module that holds a backbone's weights.

    Raises
    ------
    InputError
        For a network that cannot be fine-tuned this way: Stable Diffusion (its features are taken while a picture is turned into noise
        step by step; no gradient goes through fifty calls), or one without a torch module.
    """
    from factortopy.backbones.demo import DemoBackbone
    from factortopy.backbones.modules import TorchBackbone

    if isinstance(backbone, DemoBackbone):
        return backbone.module
    if type(backbone).__module__.endswith("diffusers_adapter"):
        raise unexpected(f"network {backbone.name}", "one that sees a picture in one pass", "a diffusion network", CAN)
    if not isinstance(backbone, TorchBackbone) or backbone.model is None:
        raise unexpected(f"network {backbone.name}", "one whose weights can be trained", type(backbone).__name__, CAN)
    return backbone.model


def refuse(name):
    """Raise InputError for a name of the registry whose network cannot be fine-tuned."""
    from factortopy.backbones.loading import list_backbones

    bare = name.partition(":")[0].partition("@")[0]
    reason = next((why_not(entry) for entry in list_backbones() if entry.name == bare), "")
    if reason:
        raise InputError(f"network {name}: expected one that sees a picture in one pass, found {reason}; {CAN}")


def why_not(entry):
    """Why an entry of the registry cannot be fine-tuned, or ""."""
    return "a diffusion network: its features are taken step by step" if entry.library == "diffusers" else ""


def token(backbone, pixels, layer):
    """(B, C) global token (class token, or the mean of the local ones) of a layer; gradients reach the weights.

    pixels : (B, S, S, 3) uint8 array; layer : 0-based
    """
    import torch

    seen = torch.as_tensor(np.ascontiguousarray(pixels)).to(backbone.device).permute(0, 3, 1, 2).float() / 255
    return backbone.pixel_tokens(seen)[1][layer]


def tokens(backbone, pixels, paths, layer, on_progress=None):
    """(n, C) float32 tokens of many pictures, without gradients; None when ``on_progress`` (done, total) asked to stop."""
    import torch

    parts, batch = [], 16
    for first in range(0, len(paths), batch):
        with torch.no_grad():
            parts.append(token(backbone, pixels.batch(paths[first : first + batch]), layer).float().cpu().numpy())
        if on_progress is not None and on_progress(min(first + batch, len(paths)), len(paths)) is False:
            return None
    return np.concatenate(parts)


def head_of(mean, spread, classes):
    """A linear head, zeros at first, on tokens that are standardised by the training pictures' (C,) mean and spread."""
    import torch

    class Head(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
            self.register_buffer("spread", torch.as_tensor(spread, dtype=torch.float32))
            self.linear = torch.nn.Linear(len(mean), classes)
            torch.nn.init.zeros_(self.linear.weight)
            torch.nn.init.zeros_(self.linear.bias)

        def forward(self, inputs):
            return self.linear((inputs - self.mean) / self.spread)

    return Head()


def moments(values):
    """(C,) mean and spread of (n, C) tokens; a channel that never varies has spread 1."""
    spread = values.std(0)
    return values.mean(0), np.where(spread > 1e-6, spread, 1.0).astype(np.float32)


def mode(module, training):
    """Set a network to training or evaluation; batch norms keep the statistics that they came with, for four pictures have none."""
    import torch

    module.train(training).requires_grad_(training)
    for part in module.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.eval()


def probe(seen, labels, fresh, seed=0):
    """Class numbers that a linear classifier of frozen tokens gives to others.

    seen, fresh : (n, C), (m, C) tokens of training and held-out pictures; labels : (n,) of the training pictures
    """
    from sklearn.linear_model import LogisticRegression

    mean, spread = moments(seen)
    fitted = LogisticRegression(C=0.1, max_iter=500, random_state=seed).fit((seen - mean) / spread, labels)
    return fitted.predict((fresh - mean) / spread)


def accuracy(labels, given, classes):
    """{"all": share that is right, "mean of classes", "classes": {name: share}} of (m,) class numbers."""
    labels, given = np.asarray(labels), np.asarray(given)
    by_class = {name: float((given[labels == k] == k).mean()) for k, name in enumerate(classes)}
    return {
        "all": float((labels == given).mean()),
        "mean of classes": float(np.mean(list(by_class.values()))),
        "classes": by_class,
    }
