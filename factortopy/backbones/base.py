"""What every network looks like to the rest: pictures in, local and global tokens of every layer out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One line of the registry of networks."""

    name: str
    library: str  # "factortopy", "timm", "open_clip", "torchvision", "diffusers"
    layers: int
    width: int
    objective: str
    licence: str
    available: bool  # weights are on this machine
    training_data: str = ""
    input_size: int = 224
    patch: int = 16
    parameters: int = 0
    source: str = ""


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
    fingerprint : str
        Changes whenever weights, code version or preprocessing change; part of the feature cache's key.
    """

    name = ""
    layer_names = ()
    width = 0
    input_size = 224
    trained = True
    drawings_only = False
    weights = None
    fingerprint = ""

    def tokens(self, images):
        """Tokens of every layer.

        Parameters
        ----------
        images : (B, H, W, 3) uint8 array

        Returns
        -------
        local : list over layers of (B, h, w, C) float32 tensors
        global_ : list over layers of (B, C) float32 tensors
            The class token, or the mean of the local tokens where the network has none.
        """
        raise NotImplementedError

    def channel_weights(self):
        """The weights that write each layer's channels; what a network tells about its layers without any picture.

        Returns
        -------
        list over layers of (C_l, m) float32 arrays, or None where they cannot be told
        """
        return None
