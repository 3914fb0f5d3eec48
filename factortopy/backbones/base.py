"""What every network looks like to the rest: pictures in, local and global tokens of every layer out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class Entry:
    """One line of the registry of networks."""

    name: str
    library: str  # "factortopy", "timm", "open_clip", "torchvision", "diffusers"
    layers: int
    width: int  # channels of the widest layer
    objective: str
    licence: str
    available: bool  # weights are on this machine
    training_data: str = ""
    input_size: int = 224
    patch: int = 16  # pixels a side of a local token of the first layer
    parameters: int = 0  # of the part that is used
    source: str = ""  # where the weights are published
    model: str = ""  # its name in the library


@dataclass(frozen=True)
class Site:
    """Where a layer's tokens leave the network: what a lesion inside it acts on.

    module : torch module whose output holds the layer's tokens
    form : "tokens" (B, prefix + h·w, C), "nchw" or "nhwc"
    prefix : tokens before the local ones, the class token first
    mixer : linear layer whose input is the outputs of ``heads`` attention heads, side by side; None without attention
    """

    module: object
    form: str
    prefix: int = 0
    mixer: object = None
    heads: int = 0


class Backbone:
    """A network in evaluation mode.

    Attributes
    ----------
    name : str
    layer_names : list of str
        From the first to the last layer.
    width : int
        Channels of the widest layer.
    input_size : int
        Side in pixels that pictures are resized to (squashed, so that the whole picture is seen).
    trained : bool
        False for random weights; shown as "untrained" everywhere.
    drawings_only : bool
        True for networks that were trained on rendered pictures alone.
    weights : str or None
        What ``load_backbone`` was given: None as published, "untrained", or a file.
    notices : list of str
        What was done to the weights of a file for them to fit: positions resampled, one network of several read.
    finetuned : dict or None
        How it was fine-tuned (base, data, classes, layer, recipe, accuracy before and after), where its weights say so.
    fingerprint : str
        Changes whenever weights, code version or preprocessing change; part of the feature cache's key.
    """

    model = None  # the torch module, where there is one
    name = ""
    layer_names = ()
    width = 0
    input_size = 224
    trained = True
    drawings_only = False
    weights = None
    notices = ()
    finetuned = None
    fingerprint = ""

    @property
    def device(self) -> torch.device:
        """Where the network's weights are (torch device)."""
        import torch

        weight = next(self.model.parameters(), None) if self.model is not None else None
        return torch.device("cpu") if weight is None else weight.device

    def to(self, device: Any) -> Backbone:
        """Move to a torch device; returns itself."""
        if self.model is not None:
            self.model.to(device)
        return self

    def tokens(self, images: np.ndarray) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Tokens of every layer, without gradients.

        Parameters
        ----------
        images : (B, H, W, 3) uint8 array

        Returns
        -------
        local : list over layers of (B, h, w, C) float32 tensors
        global_ : list over layers of (B, C) float32 tensors
            The class token, or the mean of the local tokens where the network has none.

        Raises
        ------
        InputError
            What the network's own library raises on these pictures, in one line.
        """
        import torch

        from factortopy.foreign import door

        with (
            door(f"network {self.name}", "one that can be shown pictures", SHOWN, answers_memory=True),
            torch.no_grad(),
        ):
            return self.pixel_tokens(torch.as_tensor(images).to(self.device).permute(0, 3, 1, 2).float() / 255)

    def pixel_tokens(self, pixels: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Tokens as ``tokens`` gives them of (B, 3, H, W) float pixels in 0 … 1; gradients reach the pixels."""
        raise NotImplementedError

    def sites(self) -> list[Site] | None:
        """Where each layer's tokens leave the network: list of ``Site``, or None where that is not known."""
        return None

    def channel_weights(self) -> list[np.ndarray] | None:
        """The weights that write each layer's channels; what a network tells about its layers without any picture.

        Returns
        -------
        list over layers of (C_l, m) float32 arrays, or None where they cannot be read
        """
        return None


UNTRAINED = " untrained"
SHOWN = "look at what the network itself needs (input size, device, number type), or choose another"
