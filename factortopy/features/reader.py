"""Showing pictures to a network: its device and precision, batches that fit into memory, tokens pooled to a grid."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from factortopy.errors import InputError
from factortopy.storage.machine import is_out_of_memory
from factortopy.wording import first_words, shown_path

BATCH = 32  # pictures shown at once, at most
TAPS = 256e6  # bytes of tokens in flight
SAMPLE = 1024  # pictures that components are learnt from, at most
PRECISIONS = ("float32", "float16", "bfloat16")


def as_pixels(image: Any) -> np.ndarray:
    """A picture given as array, PIL image or path -> (H, W, 3) uint8."""
    if isinstance(image, np.ndarray):
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
            return image
        raise InputError(
            f"picture: expected an array (height, width, 3) of uint8, found {image.shape} of {image.dtype}; "
            "convert it with factortopy.read_image"
        )
    from factortopy.pictures.reading import read_image

    try:
        return read_image(image)
    except InputError as error:
        where = f"{shown_path(image)}: " if isinstance(image, (str, os.PathLike)) else ""  # it names the file alone
        raise InputError(f"{where}{error}") from None


def _batches(images, size):
    """Batches of at most ``size()`` equal-sized pictures, in order: pixels (b, H, W, 3)."""
    batch = []
    for image in images:
        pixels = as_pixels(image)
        if batch and (len(batch) >= size() or pixels.shape != batch[0].shape):
            yield np.stack(batch)
            batch = []
        batch.append(pixels)
    if batch:
        yield np.stack(batch)


def pixel_batches(images, size):
    """Batches of at most ``size()`` pictures of the same size, (b, H, W, 3) uint8; the next one is read and decoded meanwhile."""
    batches = _batches(images, size)
    with ThreadPoolExecutor(1, thread_name_prefix="pictures") as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch


class Reader:
    """Shows pictures to a network: on its device, in its precision, in batches that fit into memory.

    precision : "float32", or "float16" / "bfloat16" (autocast), None: float16 on a GPU, float32 elsewhere
    reduction : Reduction whose components are kept in place of all channels; None keeps these
    antialias : whether tokens are averaged over areas where they are pooled to the grid
    """

    def __init__(self, backbone, grid, precision=None, reduction=None, antialias=True):
        self.backbone, self.grid, self.antialias = backbone, grid, antialias
        self.device, self.batch = getattr(backbone, "device", None), pictures_a_batch(backbone)
        self.reduce_by(reduction)
        usual = "float16" if getattr(self.device, "type", "cpu") == "cuda" else "float32"
        self.precision = precision or usual
        self.usual = self.precision == usual

    def reduce_by(self, reduction):
        """Keep the components of a Reduction from now on; None: all channels."""
        self.reduction = None if reduction is None else reduction.to(self.device or "cpu")

    def tokens(self, pixels):
        """(local, global) float16 arrays of a batch, local tokens pooled to the grid.

        Raises
        ------
        InputError
            Naming the layer whose tokens are infinite or not a number in half precision; one picture is too much.
        """
        parts = []
        while len(pixels):
            n = min(self.batch, len(pixels))
            try:
                parts.append(self._show(pixels[:n]))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._smaller(n)
                continue
            pixels = pixels[n:]
        if len(parts) == 1:
            return parts[0]
        return tuple([np.concatenate(layer) for layer in zip(*kind)] for kind in zip(*parts))

    def _smaller(self, n):
        import torch

        if n == 1:
            raise InputError(
                f"{self.backbone.name}: expected memory for one picture on {self.device}, found too little; "
                "close other programs, or choose a smaller network or device='cpu'"
            ) from None
        self.batch = n // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _show(self, pixels):
        import torch

        mixed = torch.autocast(
            getattr(self.device, "type", "cpu"),
            dtype=getattr(torch, self.precision),
            enabled=self.precision != "float32",
        )
        with torch.inference_mode():
            with mixed:
                local, token = self.backbone.tokens(pixels)
            local = [_pooled(t, self.grid, self.antialias) for t in local]
            if self.reduction is not None:
                local = [basis.scores(t) for basis, t in zip(self.reduction.local, local, strict=True)]
                token = [basis.scores(t) for basis, t in zip(self.reduction.global_, token, strict=True)]
            local, token = ([t.half().cpu() for t in kind] for kind in (local, token))
        for name, *tokens in zip(self.backbone.layer_names, local, token, strict=True):
            if not all(torch.isfinite(t).all() for t in tokens):
                raise InputError(
                    f"{self.backbone.name}, layer {name}: expected tokens that half precision can hold, "
                    "found infinity or NaN; the weights may be damaged: fetch them again"
                )
        return [t.numpy() for t in local], [t.numpy() for t in token]


def _pooled(tokens, grid, antialias=True):
    """(B, h, w, C) tokens on a grid, averaged over areas (bilinear, antialiased): two small matrices, rows and columns.

    antialias : False looks at the four nearest tokens alone, as the paper's released code does (docs/paper_recipe.md)
    """
    import torch

    h, w = tokens.shape[1:3]
    if not grid or (h, w) == (grid, grid):
        return tokens
    if not antialias:
        return sampled(tokens.float(), grid)
    rows, columns = (torch.from_numpy(_resizing(side, grid)).to(tokens.device) for side in (h, w))
    b, c = len(tokens), tokens.shape[-1]
    with torch.autocast(tokens.device.type, enabled=False):
        turned = rows @ tokens.float().reshape(b, h, w * c)
        return (columns @ turned.reshape(b * grid, w, c)).reshape(b, grid, grid, c)


def sampled(tokens, grid):
    """(B, h, w, C) tensor of tokens on a grid, bilinear without antialiasing: ``downsample_local_tokens`` of the paper's
    released code (brainnet/plmodel.py)."""
    import torch.nn.functional as F

    few = F.interpolate(tokens.permute(0, 3, 1, 2), (grid, grid), mode="bilinear", align_corners=False)
    return few.permute(0, 2, 3, 1)


@lru_cache(64)
def _resizing(side, grid):
    """(grid, side) float32 matrix of torch's antialiased bilinear resizing along one axis."""
    import torch
    import torch.nn.functional as F

    unit = torch.eye(side)[:, None, :, None].expand(-1, 1, -1, 2)
    small = F.interpolate(unit, (grid, 2), mode="bilinear", antialias=True, align_corners=False)
    return np.ascontiguousarray(small[:, 0, :, 0].T.numpy())


@contextmanager
def on_device(backbone, device, precision=None):
    """The network on a device for a while: a GPU where there is one unless another is named.

    precision : as ``Reader`` takes it; convolutions in bfloat16 are up to twice as fast on a processor with channels last in
        memory, and as fast as ever in float32 (docs/networks.md)
    """
    import torch

    before = getattr(backbone, "device", None)
    if device is None:
        device = "cuda" if torch.cuda.is_available() else before
    try:
        if before is None or torch.device(device).type == before.type:
            device = None
        else:
            backbone.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        if is_out_of_memory(error):
            backbone.to(before)
        raise InputError(
            f"device {device}: expected one that holds {backbone.name}, found: {first_words(error, 150)}; "
            "choose device='cpu'"
        ) from None
    module = getattr(backbone, "model", None)
    turned = precision == "bfloat16" and isinstance(module, torch.nn.Module) and backbone.device.type == "cpu"
    try:
        if turned:
            module.to(memory_format=torch.channels_last)
        yield
    finally:
        if turned:
            module.to(memory_format=torch.contiguous_format)
        if device is not None:
            backbone.to(before)


def token_batches(backbone, images, grid, precision=None, reduction=None, antialias=True):
    """Yield per batch (local, global) float16 arrays."""
    reader = Reader(backbone, grid, precision, reduction, antialias)
    for pixels in pixel_batches(images, lambda: reader.batch):
        yield reader.tokens(pixels)


def pictures_a_batch(backbone):
    """Pictures a batch whose tokens fill at most a quarter of a gigabyte before they are pooled."""
    shapes = getattr(backbone, "_shapes", None)
    numbers = sum(math.prod(shape) for shape in shapes) if shapes else 0
    return max(1, min(BATCH, int(TAPS // (4 * numbers)))) if numbers else BATCH
