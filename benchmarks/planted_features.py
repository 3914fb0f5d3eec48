"""Features of a random network on disk, of a stated size (synthetic): written picture by picture, gone on with after a kill.

Channels. Networks spread their variance over few directions. Here the k-th principal component of a layer has variance ∝ k^-decay,
turned by a random orthogonal matrix of the layer's own. Of 768 components 714 hold 99 % at decay 1, the slow fall that gives
principal components nothing to save, and which is the rule here; 420 at 1.5, still slower than the two trained networks that come
with the project (on 60 rendered pictures k^-2.2 to k^-3.0 between the 2nd and the 64th of their 128 components); all are alike at 0.
Component for component, neighbouring layers correlate by 0.7. Each channel has a mean and a scale of its own, which standardising
takes away.

The files are those of an extraction (float16, ``local-00.npy`` …), beside what the planted channel weights combine the tokens to.
The first pictures are the same whatever their number.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch

from factortopy.features.files import Rows, done_before, files_of, mark

FORMAT = 3  # of the files
RANK = 12  # combinations of channels that planted weights read
KEPT = 0.7  # correlation of neighbouring layers
CHUNK = 64  # pictures made at once, of one seed
MARKED = 8  # chunks after which it is noted how far they are


@dataclass(frozen=True)
class Shape:
    """n pictures, layers of so many channels on grid × grid tokens."""

    images: int
    layers: int
    channels: int
    decay: float
    grid: int
    seed: int

    def name(self, images=None):
        """Of its folder; of any number of pictures with "*"."""
        sizes = f"{images or self.images}x{self.layers}x{self.channels}-grid{self.grid}"
        return f"features-{sizes}-decay{self.decay:g}-seed{self.seed}"


def seeded(*numbers):
    """A torch generator of its own for these numbers."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


def made_features(shape, parent, report=lambda done, total: None):
    """Folder of these or of more pictures, whose first are the same; written where there is none."""
    there = [path.parent for path in parent.glob(f"{shape.name('*')}/done.json")]
    enough = [
        (n, path) for path in there if (n := json.loads((path / "done.json").read_text())["pictures"]) >= shape.images
    ]
    if enough:
        return min(enough)[1]
    make_features(shape, parent / shape.name(), report)
    return parent / shape.name()


def make_features(shape, folder, report=lambda done, total: None):
    """Write them, from where an earlier process was stopped; 10,000 pictures of 12 × 768 channels take 12 GB."""
    folder.mkdir(parents=True, exist_ok=True)
    k, c = shape.grid**2, shape.channels
    paths = [path for kind in files_of(folder, shape.layers) for path in kind]
    shapes = [(shape.grid, shape.grid, c)] * shape.layers + [(c,)] * shape.layers
    kinds = [np.float16] * len(shapes) + [np.float32] * 2
    paths += [folder / "projected.npy", folder / "heads.npy"]
    shapes += [(shape.layers, k, RANK), (shape.layers, RANK)]
    done = done_before(folder)
    if not done:
        for path, each, kind in zip(paths, shapes, kinds, strict=True):
            np.lib.format.open_memmap(path, "w+", kind, (shape.images, *each)).flush()
    network = _network(shape)
    with ExitStack() as stack:
        writers = [stack.enter_context(Rows(path)) for path in paths]
        while done < shape.images:
            t = min(CHUNK, shape.images - done)
            # A chunk is made whole and cut, so that its pictures do not depend on how many are wanted.
            made = [[x[:t] for x in layer] for layer in _tokens(network, k, seeded(shape.seed, 1, done // CHUNK))]
            local, token, rows, head = zip(*made, strict=True)
            for writer, block in zip(
                writers, (*local, *token, torch.stack(rows, 1), torch.stack(head, 1)), strict=True
            ):
                writer.put(done, block.numpy())
            done += t
            if done == shape.images or done // CHUNK % MARKED == 0:
                mark(folder, writers, done)
                report(done, shape.images)
    (folder / "done.json").write_text(json.dumps({"format": FORMAT, "pictures": shape.images}))


def _network(shape):
    """Per layer: components' standard deviations, matrices and offsets that make raw local and global tokens of
    components, and matrices that make the 12 planted combinations of them."""
    generator = torch.Generator().manual_seed(shape.seed)
    c = shape.channels

    def normal(*size):
        return torch.randn(*size, generator=generator)

    deviation = torch.arange(1, c + 1).float() ** (-shape.decay / 2)
    deviation *= (c / (deviation**2).sum()).sqrt()
    layers = []
    for _ in range(shape.layers):
        turn = torch.linalg.qr(normal(c, c))[0]
        turn /= ((deviation[:, None] * turn) ** 2).sum(0).sqrt()  # each channel has variance 1 now
        sides = []
        for _ in ("local", "global"):
            scale = (0.5 * normal(c)).exp()
            sides.append((turn * scale, scale * normal(c), turn @ normal(c, RANK) / c**0.5))
        layers.append(sides)
    return deviation, layers


def _tokens(network, k, generator):
    """Per layer: raw local (t, h, w, C) and global (t, C) tokens of ``CHUNK`` new pictures in half precision, combined
    (t, K, 12) and (t, 12) in float32."""
    deviation, layers = network
    c, t, grid = len(deviation), CHUNK, round(k**0.5)
    z = None
    for (matrix, offset, planted), (matrix_g, offset_g, planted_g) in layers:
        fresh = torch.randn(t * k, c, generator=generator).mul_(deviation)
        z = fresh if z is None else z.mul_(KEPT).add_(fresh, alpha=(1 - KEPT**2) ** 0.5)
        # The mean over positions has 1/K of the variance; global tokens share 36 % of theirs with it.
        head = 0.6 * k**0.5 * z.view(t, k, c).mean(1) + 0.8 * torch.randn(t, c, generator=generator) * deviation
        yield (
            torch.addmm(offset, z, matrix).half().view(t, grid, grid, c), torch.addmm(offset_g, head, matrix_g).half(),
            (z @ planted).view(t, k, RANK), head @ planted_g,
        )  # fmt: skip
