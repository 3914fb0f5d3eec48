"""The demo networks: small vision transformers trained on rendered pictures alone, for a machine without a model hub.

``demo-vit`` was trained to name what is in a picture and where, ``demo-mae`` to fill in hidden patches. They share the
architecture: 12 blocks, width 128, patches of 8 pixels, 112-pixel pictures, no class token. How they were trained is in
``benchmarks/make_demo_networks.py``.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from factortopy.backbones.base import Backbone, Site
from factortopy.backbones.demo_facts import DEPTH, INPUT_SIZE, OBJECTIVES, PATCH, WIDTH, weights_path
from factortopy.backbones.foreign_weights import another_kind
from factortopy.errors import InputError

HEADS = 4
SIDE = INPUT_SIZE // PATCH  # tokens along a side
MEAN, SPREAD = 0.45, 0.25  # of pixel values in 0 … 1
VERSION = 1  # of architecture and preprocessing: part of the fingerprint
UNTRAINED_SEED = 0


# ---------------------------------------------------------------- architecture
class Block(nn.Module):
    """Self-attention and a two-layer perceptron, each after a layer norm and added to its input."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        for layer in (self.qkv, self.out, self.up, self.down):
            nn.init.trunc_normal_(layer.weight, std=0.7 * width**-0.5)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():  # small residual branches: twelve blocks start close to the identity
            self.out.weight *= 0.3
            self.down.weight *= 0.3

    def forward(self, x):
        batch, count, width = x.shape
        depth = width // self.heads
        qkv = self.qkv(self.norm1(x)).view(batch, count, 3, self.heads, depth).permute(2, 0, 3, 1, 4)
        if self.training:  # the fused attention's backward pass is slow on a processor: written out, a step takes half
            query, key, value = qkv.reshape(3, batch * self.heads, count, depth)
            share = torch.bmm(query * depth**-0.5, key.transpose(1, 2)).softmax(-1).to(value.dtype)
            mixed = torch.bmm(share, value).view(batch, self.heads, count, depth)
        else:
            mixed = F.scaled_dot_product_attention(*qkv)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, count, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


def sine_positions(width, side):
    """(1, side², width) fixed position codes: sines and cosines of x, then of y, width / 4 frequencies each."""
    frequencies = 1 / 50 ** (np.arange(width // 4) / (width // 4))
    y, x = (axis.reshape(-1, 1) * frequencies for axis in np.mgrid[0:side, 0:side])
    codes = np.concatenate([np.sin(x), np.cos(x), np.sin(y), np.cos(y)], 1)
    return torch.tensor(codes, dtype=torch.float32)[None] * 0.5


class VisionTransformer(nn.Module):
    """The network itself; pictures are (B, 3, 112, 112) float32 from ``normalise``."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS) for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH)
        self.register_buffer("positions", sine_positions(WIDTH, SIDE), persistent=False)

    def embed(self, pictures):
        """(B, SIDE², WIDTH) tokens before the first block."""
        return (self.patch(pictures).flatten(2).transpose(1, 2) + self.positions).contiguous()

    def forward(self, pictures, keep=None):
        """Normalised tokens after the last block; ``keep`` (B, k) indices of the patches to look at, None all."""
        tokens = self.embed(pictures)
        if keep is not None:
            tokens = tokens.gather(1, keep[..., None].expand(-1, -1, tokens.shape[-1]))
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def layers(self, pictures):
        """Tokens after every block: list of (B, SIDE², WIDTH)."""
        tokens = self.embed(pictures)
        outputs = []
        for block in self.blocks:
            tokens = block(tokens)
            outputs.append(tokens)
        return outputs


def normalise(pictures):
    """(B, 3, H, W) in 0 … 1 to what the network was trained on."""
    return (pictures - MEAN) / SPREAD


# ---------------------------------------------------------------- backbone
class DemoBackbone(Backbone):
    """A demo network in evaluation mode; ``module`` is the VisionTransformer."""

    layer_names = tuple(f"block {index + 1}" for index in range(DEPTH))
    width = WIDTH
    input_size = INPUT_SIZE
    drawings_only = True

    def __init__(self, module, name, fingerprint, trained=True):
        self.module = module.eval().requires_grad_(False)
        self.name, self.fingerprint, self.trained = name, fingerprint, trained

    @property
    def device(self):
        return self.module.patch.weight.device

    def to(self, device):
        """Move to a torch device; returns itself."""
        self.module.to(device)
        return self

    def prepare(self, images):
        """(B, 3, 112, 112) float32 normalised pictures of (B, H, W, 3) uint8 ones.

        They are squashed, so that the whole picture is seen; those of 112 × 112 pixels are not resampled.
        """
        shape, dtype = getattr(images, "shape", ()), getattr(images, "dtype", None)
        if len(shape) != 4 or shape[3] != 3 or dtype not in (np.uint8, torch.uint8) or 0 in shape:
            raise InputError(
                f"pictures for {self.name}: expected a uint8 array of shape (pictures, height, width, 3), "
                f"found {dtype} of shape {tuple(shape)}; convert them first (factortopy.read_image does)"
            )
        if not torch.is_tensor(images):
            images = torch.from_numpy(np.ascontiguousarray(images))
        return self._normalised(images.to(self.device).permute(0, 3, 1, 2).float() / 255)

    @staticmethod
    def _normalised(pixels):
        size = (INPUT_SIZE, INPUT_SIZE)
        if pixels.shape[2:] != size:
            pixels = F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
        return normalise(pixels)

    def _of(self, normalised):
        outputs = self.module.layers(normalised)
        local = [tokens.unflatten(1, (SIDE, SIDE)) for tokens in outputs]
        return local, [tokens.mean(1) for tokens in outputs]

    @torch.no_grad()
    def tokens(self, images):
        """Local tokens (B, 14, 14, 128) and their mean (B, 128) after every block; see Backbone.tokens."""
        return self._of(self.prepare(images))

    def pixel_tokens(self, pixels):
        """See ``Backbone.pixel_tokens``."""
        return self._of(self._normalised(pixels))

    def sites(self):
        """The blocks; see ``Backbone.sites``."""
        return [Site(block, "tokens", 0, block.out, block.heads) for block in self.module.blocks]

    def channel_weights(self):
        """What attention and perceptron of each block add to the tokens: (128, 128 + 512); see Backbone."""
        return [torch.cat([block.out.weight, block.down.weight], 1).cpu().numpy() for block in self.module.blocks]


def load_demo(name, weights=None):
    """A demo network.

    Parameters
    ----------
    name : {"demo-vit", "demo-mae"}
    weights : None, "untrained" or path
        None: as shipped. "untrained": seeded random weights. A path: a safetensors file with the same architecture.

    Returns
    -------
    DemoBackbone

    Raises
    ------
    InputError
        Unknown name; a file that is missing, damaged or made for another architecture.
    """
    if name not in OBJECTIVES:
        raise InputError(f"demo network {name!r}: expected one of {', '.join(OBJECTIVES)}; choose one of these")
    if weights == "untrained":
        module = untrained()
        return DemoBackbone(module, f"{name} untrained", _fingerprint(_bytes_of(module)), trained=False)
    module, fingerprint = read_weights(weights_path(name) if weights is None else weights)
    return DemoBackbone(module, name, fingerprint)


def untrained(seed=UNTRAINED_SEED):
    """A network with seeded random weights; leaves torch's global random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VisionTransformer()


def read_weights(path):
    """A VisionTransformer with the weights of a safetensors file, and its fingerprint; runs no code from it."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    label = f"weights file {str(path)!r}"
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise InputError(
            f"{label}: expected a readable safetensors file, found none ({error.strerror}); check the path"
        ) from None
    if content and (kind := another_kind(Path(path), content[:1024])):
        raise InputError(f"{label}: expected a safetensors file, found {kind}")
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, OverflowError) as error:
        raise InputError(
            f"{label}: expected a complete safetensors file, found {len(content)} bytes that are not one ({error}); "
            "copy or download it again"
        ) from None
    module = untrained()
    expected = module.state_dict()
    if set(tensors) != set(expected):
        first = ", ".join(sorted(tensors)[:5]) or "no tensors"
        strange = ", ".join(sorted(set(tensors) - set(expected))[:5]) or "none"
        absent = ", ".join(sorted(set(expected) - set(tensors))[:5]) or "none missing"
        raise InputError(
            f"{label}: expected the {len(expected)} tensors of a demo network, found {len(tensors)} "
            f"(first: {first}; unknown: {strange}; missing: {absent}); give a file written by benchmarks.make_demo_networks"
        )
    for key, tensor in sorted(tensors.items()):
        if tensor.shape != expected[key].shape:
            raise InputError(
                f"{label}: expected {key} of shape {tuple(expected[key].shape)}, found {tuple(tensor.shape)}; "
                "give a file written by benchmarks.make_demo_networks"
            )
        if not tensor.is_floating_point() or not torch.isfinite(tensor.float()).all():
            raise InputError(
                f"{label}: expected finite floating-point numbers in {key}, found {_describe(tensor)}; "
                "take an earlier file or train again"
            )
    module.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    return module, _fingerprint(content)


def _describe(tensor):
    if not tensor.is_floating_point():
        return str(tensor.dtype)
    return f"{int((~torch.isfinite(tensor.float())).sum())} that are infinite or not a number"


def _bytes_of(module):
    return b"".join(tensor.numpy().tobytes() for _, tensor in sorted(module.state_dict().items()))


def _fingerprint(content):
    return f"demo{VERSION}-{hashlib.sha256(content).hexdigest()[:20]}"
