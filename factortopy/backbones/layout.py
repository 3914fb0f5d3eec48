"""Where pictures, places and channels lie in what a layer gives: proved by what follows the pictures, never guessed.

The axis of the pictures is the one that grows when more are shown. Rows and columns are proved by four pictures (``probe``), of
which two blend from left to right and from top to bottom: how far a token has come along the blends is where it looks, and what
stands for no place (class token, registers, prompts) does not change where tokens are first made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# Correlation of tokens' places with the rows and columns of their grid. Measured on untrained networks: ViT and mixer 0.98 to 1 in all
# blocks, one token beside the right ones 0.64, ResNet-50 from 1 to 0.43 in its last block, maps that are none below 0.1.
AGREES, LEANS = 0.9, 0.2
MANY = 16  # tokens that do not follow a grid by chance
FORMS = ("tokens", "nchw", "nhwc")  # that a user can say
SEEN = 1e-9  # of the strongest token's change: what changes less stands for no place


class Unclear(Exception):
    """An output that cannot be read; the words say what was found and what to do."""

    def __init__(self, what: str, remedy: str):
        super().__init__(f"{what}; {remedy}")


@dataclass(frozen=True)
class Layout:
    """Of a layer's output.

    batch : axis that the pictures lie on; the forms are those with pictures first
    form : "nchw" (B, C, h, w), "nhwc" (B, h, w, C), "tokens" (B, prefix + h·w + rest, C), "turned" (B, C, prefix + h·w + rest)
    """

    batch: int
    form: str
    grid: tuple[int, int]
    channels: int
    prefix: int = 0
    rest: int = 0

    @property
    def plain(self) -> bool:
        """Whether ``Site`` can say it: pictures first, a square grid, nothing behind it."""
        return not self.batch and not self.rest and self.form != "turned" and self.grid[0] == self.grid[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the output for one picture, without the axis of pictures."""
        (h, w), c = self.grid, self.channels
        n = self.prefix + h * w + self.rest
        return {"nchw": (c, h, w), "nhwc": (h, w, c), "tokens": (n, c), "turned": (c, n)}[self.form]

    def split(self, output: torch.Tensor, pictures: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(B, h, w, C) local tokens, and (B, C) the first of the tokens before them or None.

        Raises
        ------
        Unclear
            Another shape than the one that was looked at.
        """
        wanted = (*self.shape[: self.batch], pictures, *self.shape[self.batch :])
        if tuple(output.shape) != wanted:
            what = f"{tuple(output.shape)} for {pictures} pictures, where {wanted} was expected"
            raise Unclear(what, "choose a layer that gives as many tokens of every picture")
        output = output.movedim(self.batch, 0)
        if self.form == "nchw":
            return output.permute(0, 2, 3, 1), None
        if self.form == "nhwc":
            return output, None
        tokens = output.transpose(1, 2) if self.form == "turned" else output
        local = tokens[:, self.prefix : self.prefix + math.prod(self.grid)]
        return local.unflatten(1, self.grid), tokens[:, 0] if self.prefix else None


def picture_axis(one: tuple[int, ...], several: tuple[int, ...], n: int) -> int:
    """The axis that the pictures lie on, by an output's shapes for one picture and for n.

    Raises
    ------
    Unclear
        None does, or pictures share their axis with something else (windows, frames).
    """
    grown = (
        [k for k, (a, b) in enumerate(zip(one, several, strict=False)) if a != b] if len(one) == len(several) else []
    )
    if len(grown) == 1 and (one[grown[0]], several[grown[0]]) == (1, n):
        return grown[0]
    what = f"{one} for one picture and {several} for {n}"
    if len(grown) == 1 and several[grown[0]] == n * one[grown[0]]:
        parts = f"{what} ({one[grown[0]]} parts of each picture in one axis)"
        raise Unclear(parts, "choose the module that puts the parts together again")
    raise Unclear(f"{what} (no axis of pictures)", "choose a layer with tokens of each picture")


# ---------------------------------------------------------------- what follows the places of a picture


def probe(size: tuple[int, int]) -> torch.Tensor:
    """(4, 3, H, W) pixels in 0 … 1: two pictures of blocks, seeded, and their blends from left to right and from top to bottom."""
    import torch

    (h, w), generator = size, torch.Generator().manual_seed(0)
    block = max(1, min(size) // 32)
    rows, columns = (torch.arange(side) // block for side in size)
    first, second = torch.rand(2, 3, h, w, generator=generator)[:, :, rows][..., columns]
    across, down = ((torch.arange(side) + 0.5) / side for side in (w, h))
    return torch.stack([first, second, first + (second - first) * across, first + (second - first) * down[:, None]])


def places_of(four: torch.Tensor) -> np.ndarray:
    """(3, …): how far each token of (4, …, C) has come from left to right, from top to bottom, and how much it changes."""
    first, second, across, down = four.detach().double().cpu()
    way = second - first
    change = (way**2).sum(-1)
    x, y = (((blend - first) * way).sum(-1) / change.clamp_min(1e-300) for blend in (across, down))
    return np.stack([x.clip(-1, 2), y.clip(-1, 2), change])


def agreement(places: np.ndarray, grid: tuple[int, int], strict: bool = True) -> float:
    """How well (3, n) places follow the rows and columns of a grid, −1 … 1: the smaller of two correlations.

    strict : along one row or column nothing may change, and what changes little proves nothing
    """
    x, y, change = (values.reshape(grid) for values in places)
    if not 0 < change.sum() < np.inf:
        return 0.0
    weight = change / change.sum()
    x, y = x - (weight * x).sum(), y - (weight * y).sum()
    spread = [float(np.sqrt((weight * v**2).sum())) for v in (x, y)]
    steps = np.meshgrid(np.arange(grid[1]), np.arange(grid[0]))
    scores = [1.0]
    for values, own, other, step in zip((x, y), spread, spread[::-1], steps, strict=True):
        if step.max() == 0:
            scores.append(0.0 if strict and own > max(0.5 * other, 0.05) else 1.0)
        elif strict and own < 0.05:  # right ones have 0.25 and more; two or three values follow anything by chance
            return 0.0
        else:
            step = step - (weight * step).sum()
            scores.append((weight * values * step).sum() / max(own * np.sqrt((weight * step**2).sum()), 1e-300))
    return float(min(scores))


def _seen_grid(places, size, patches=None):
    """(prefix, (h, w), rest) that the places of tokens, (3, N), prove; None where they prove none."""
    seen, n = np.flatnonzero(places[2] > SEEN * places[2].max()), places.shape[1]
    if not len(seen):
        return None
    start, stop = int(seen[0]), int(seen[-1]) + 1
    count = stop - start
    grids = sorted(
        ((count // w, w) for w in range(1, count + 1) if count % w == 0), key=lambda grid: not fits(*grid, size)
    )
    tried = [(start, grid) for grid in grids]
    if patches and count == n and MANY <= math.prod(patches) < n:  # all change, where tokens have met
        tried += [(prefix, patches) for prefix in range(n - math.prod(patches) + 1)]
    scores = [agreement(places[:, first : first + math.prod(grid)], grid) for first, grid in tried]
    best = int(np.argmax(scores[: len(grids)])) if max(scores[: len(grids)]) >= AGREES else int(np.argmax(scores))
    if scores[best] < AGREES:
        return None
    first, grid = tried[best]
    return first, grid, n - first - math.prod(grid)


def _against(places, prefix, grid):
    """Whether tokens show places, and others than those of a grid behind ``prefix`` tokens."""
    own = places[:, prefix : prefix + math.prod(grid)]
    weight = own[2] / max(own[2].sum(), 1e-300)
    spread = min(float((weight * (v - (weight * v).sum()) ** 2).sum()) ** 0.5 for v in own[:2])
    return spread > 0.1 and agreement(own, grid, strict=False) < 0.3


# ---------------------------------------------------------------- the layout of one output


def fits(h: int, w: int, size: tuple[int, int]) -> bool:
    """Whether a grid has the proportions of the pictures (height, width); up to a cell where these are no squares."""
    return h == w if size[0] == size[1] else abs(h * size[1] - w * size[0]) < max(size)


def layout_of(
    batch: int,
    shape: tuple[int, ...],
    size: tuple[int, int],
    form: str | None = None,
    prefix: int | None = None,
    four: torch.Tensor | None = None,
    first: torch.Tensor | None = None,
    patches: tuple[int, int] | None = None,
) -> Layout:
    """The layout of an output.

    Parameters
    ----------
    batch, shape : axis of the pictures; the output's shape for one picture without it
    size : (height, width) of the pictures
    form, prefix : what the user says
    four : the output for the pictures of ``probe``, pictures first; None where there are no values to look at
    first : the network's first tensor (4, N, C) of as many tokens
    patches : (h, w) of the network's patch embedding

    Raises
    ------
    Unclear
        Naming what is to be said (``prefix``, ``form``), or that another layer is to be chosen.
    """
    if len(shape) == 3 and form != "tokens":
        return _map(batch, shape, size, form, four)
    if len(shape) == 2 and form in (None, "tokens"):
        return _tokens(batch, shape, size, prefix, four, first, patches)
    if form and len(shape) in (2, 3):
        raise Unclear(f"{(1, *shape)}, not {form}", "leave form out")
    raise Unclear(f"{(1, *shape)}", "choose a layer whose output has places")


def _map(batch, shape, size, form, four):
    """The layout of (C, h, w) or (h, w, C)."""
    grids = {"nchw": shape[1:], "nhwc": shape[:2]}
    asked = [form] if form else list(grids)
    right = [f for f in asked if fits(*grids[f], size)]
    if len(right) == 2 and four is None:
        right = ["nchw"]  # of libraries' networks, which are known
    elif len(right) != 1 and four is not None:
        seen = {f: places_of(four.permute(0, 2, 3, 1) if f == "nchw" else four).reshape(3, -1) for f in right or asked}
        scores = sorted((agreement(seen[f], grids[f]), f) for f in seen)
        clear = scores[-1][0] >= (LEANS if right else AGREES) and (
            len(scores) < 2 or scores[-1][0] > scores[0][0] + LEANS
        )
        right = [scores[-1][1]] if clear else []
    if len(right) != 1:
        which = "rows and columns cannot be told from channels" if not form else "sides that are not the picture's"
        raise Unclear(f"{(1, *shape)} ({which})", "say form='nchw' or 'nhwc', or choose another layer")
    return Layout(batch, right[0], tuple(grids[right[0]]), shape[0] if right[0] == "nchw" else shape[2])


def _tokens(batch, shape, size, prefix, four, first, patches):
    """The layout of (N, C), or of (C, N) where places say so."""
    n, channels = shape
    seen = places = None
    if four is not None:
        own, places = places_of(four), places_of(four if first is None else first)
        seen = _seen_grid(places, size, patches) or _seen_grid(own, size)
        if seen and math.prod(seen[1]) >= MANY and _against(own, *seen[:2]):
            raise Unclear(*_reordered(n, seen[1]))
        turned = None if seen else _seen_grid(places_of(four.transpose(1, 2)), size)
        if turned and prefix in (None, turned[0]):
            return Layout(batch, "turned", turned[1], n, turned[0], turned[2])
    if seen is None:
        changing = [] if places is None else np.flatnonzero(places[2] > SEEN * places[2].max())
        between = changing[-1] - changing[0] + 1 - len(changing) if len(changing) else 0
        if between:
            what = f"{n} tokens, {between} in the middle of which stand for no place of a picture"
            raise Unclear(what, "take them out in a module of your own and name that as the layer")
        grid = _stated_grid(n, size, prefix, patches)
        if places is not None and _against(places, prefix or 0, grid):
            raise Unclear(*_reordered(n, grid))
        return Layout(batch, "tokens", grid, channels, prefix or 0, n - (prefix or 0) - math.prod(grid))
    if prefix not in (None, seen[0]):
        h, w = seen[1]
        behind = f" and {seen[2]} behind" if seen[2] else ""
        raise Unclear(
            f"{(1, *shape)} with {seen[0]} tokens before {h} × {w} places{behind}",
            f"say prefix={seen[0]}, or leave it out",
        )
    return Layout(batch, "tokens", seen[1], channels, seen[0], seen[2])


def _reordered(n, grid):
    return (
        f"{n} tokens whose places in the picture are not those of {grid[0]} rows from left to right",
        "choose a layer before they are reordered, or put them in order in a module of your own",
    )


def _stated_grid(n, size, prefix, patches):
    """(h, w) of N tokens whose places could not be seen: by the stated prefix, or as many as the patch embedding gave."""
    if prefix is None:
        if patches and math.prod(patches) == n:
            return patches
        where = f" ({patches[0]} × {patches[1]} patches)" if patches else ""
        raise Unclear(
            f"{n} tokens{where} whose places do not show", "say prefix=, the number of tokens before the local ones"
        )
    count = n - prefix
    h = round(math.sqrt(max(count, 0) * size[0] / size[1]))
    if h < 1 or count % h or not fits(h, count // h, size) or (patches and count > math.prod(patches)):
        where = f", where the network has {patches[0]} × {patches[1]} patches" if patches else ""
        raise Unclear(f"{n} tokens less a prefix of {prefix}{where}", "choose another layer, or say another prefix")
    return h, count // h
