"""Stable Diffusion 1.5: layers of its U-Net while a picture is turned into noise step by step (DDIM inversion).

The prompt is empty. Of 50 steps, T = 50 is the clean picture and T = 0 noise, as in the paper; layers of step T are read when
the U-Net has been called 50 − T + 1 times. Needs diffusers and transformers (``pip install factortopy[diffusion]``).
"""

import re
from functools import partial
from pathlib import Path

from factortopy.backbones.base import UNTRAINED
from factortopy.backbones.fit import fit_weights
from factortopy.backbones.modules import TorchBackbone, outputs_of
from factortopy.backbones.published import Hub, console_progress
from factortopy.backbones.weights import read_weights, seeded
from factortopy.errors import InputError
from factortopy.storage.files import read_json

VERSION = 1
STEPS = 50
STEP = 40  # T that is read where none is named: ten calls of the U-Net a picture
TIMES = tuple(range(5, STEPS + 1, 5))  # T of the layers, from noise to the clean picture, where one layer is followed
SCALE = 0.18215  # of the latent picture
ENCODER = [f"down_blocks.{i}.attentions.{j}" for i in range(3) for j in range(2)]
ENCODER += [f"down_blocks.3.resnets.{j}" for j in range(2)]
DECODER = [f"up_blocks.0.resnets.{j}" for j in range(3)]
DECODER += [f"up_blocks.{i}.attentions.{j}" for i in (1, 2, 3) for j in range(3)]
PARTS = {"encoder": ENCODER, "decoder": DECODER}
EMPTY = [49406] + [49407] * 76  # the empty prompt in the tokens of CLIP's text model
FOLDERS = {"unet": "unet/diffusion_pytorch_model.safetensors", "vae": "vae/diffusion_pytorch_model.safetensors",
           "text": "text_encoder/model.safetensors"}  # fmt: skip
SOURCE = Hub("stable-diffusion-v1-5/stable-diffusion-v1-5", tuple(FOLDERS.values()), every=True)
# Stable Diffusion 1.5, where it differs from what its classes take by themselves.
UNET = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
VAE = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 512, "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip
TEXT = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
# What the autoencoder's attention was called when its weights were saved.
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def parse(name):
    """("sd-1.5", part, T) of a name: "sd-1.5", "sd-1.5:encoder@25", "sd-1.5:decoder@40", "sd-1.5:decoder-6".

    part : "", "encoder", "decoder", or a layer such as "decoder-6"; T : 1 … 50, None where one layer is followed over time
    """
    match = re.fullmatch(r"(sd-1\.5)(?::(encoder|decoder)(?:-(\d+))?)?(?:@(\d+))?", name)
    part, layer, step = (match[2] or "", match[3], match[4]) if match else ("", None, None)
    fits = match and (layer is None or (1 <= int(layer) <= len(PARTS[part]) and step is None))
    if not fits or (step is not None and not 1 <= int(step) <= STEPS):
        raise InputError(
            f"network {name}: expected sd-1.5, sd-1.5:encoder@T, sd-1.5:decoder@T (T from 1, noise, to {STEPS}, clean), "
            "sd-1.5:encoder-1 … -8 or sd-1.5:decoder-1 … -12 (one layer over time); choose one of these"
        )
    if layer is not None:
        return match[1], f"{part}-{int(layer)}", None
    return match[1], part, int(step or STEP)


def load_diffusers(name, weights=None, label=None, on_progress=None):
    """Stable Diffusion 1.5 by a name as ``parse`` takes it.

    weights : None (hub or its cache), "untrained", or a folder in the layout of diffusers (unet/, vae/, text_encoder/)

    Raises
    ------
    InputError
        diffusers is not installed, a name or weights that do not fit.
    """
    label = label or name
    _, part, step = parse(name)
    if weights == "untrained":
        return DiffusionBackbone(seeded(build), label + UNTRAINED, part, step, trained=False)
    if weights is None:
        weights = SOURCE.fetch(label, on_progress or console_progress(label))
    model = seeded(lambda: build(**configurations(weights)))
    fill(model, weights, label)
    return DiffusionBackbone(model, label, part, step)


def build(unet=None, vae=None, text=None):
    """The three networks with random weights, in one module; ``unet``, ``vae``, ``text`` change what Stable Diffusion 1.5 has."""
    import torch

    try:
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel
    except ImportError as error:
        raise InputError(
            f"sd-1.5: expected diffusers and transformers to be installed, found neither or one ({error.name}); "
            "pip install diffusers transformers"
        ) from None
    unet, vae, text = UNET | (unet or {}), VAE | (vae or {}), TEXT | (text or {})
    return torch.nn.ModuleDict(
        {
            "unet": UNet2DConditionModel.from_config(unet),
            "vae": AutoencoderKL.from_config(vae),
            "text": CLIPTextModel(CLIPTextConfig(**text)),
        }
    )


def configurations(folder):
    """What the configuration files of a folder say beside Stable Diffusion 1.5's own: {"unet": dict, …}."""
    configs = {}
    for part, file in FOLDERS.items():
        path = (Path(folder) / file).parent / "config.json"
        if path.is_file():
            configs[part] = {
                k: v for k, v in read_json(path, "network").items() if not k.startswith(("_", "transformers_"))
            }
    return configs


def fill(model, folder, label):
    """Load the weights of a folder in the layout of diffusers."""
    for part, file in FOLDERS.items():
        path = Path(folder) / file
        file = read_weights(path, f"{label} ({part})")
        fit_weights(model[part], file, str(path), label, convert=partial(convert, part, module=model[part]))


def convert(part, tensors, module):
    """Tensors by the names that the installed libraries use."""
    import torch

    if part == "vae":
        for old, new in OLD_NAMES.items():
            tensors = {re.sub(rf"(mid_block\.attentions\.0\.){old}\.", rf"\1{new}.", k): v for k, v in tensors.items()}
    if part == "text":
        tensors = {k: v for k, v in tensors.items() if not k.endswith("position_ids")}
        wanted = next(iter(module.state_dict())).startswith("text_model.")
        if not wanted:
            tensors = {k.removeprefix("text_model."): v for k, v in tensors.items()}
    shapes = {k: t.shape for k, t in module.state_dict().items()}
    # Linear layers that were saved as 1 × 1 convolutions.
    return {
        k: v.reshape(shapes[k]) if k in shapes and v.numel() == torch.Size(shapes[k]).numel() else v
        for k, v in tensors.items()
    }


class DiffusionBackbone(TorchBackbone):
    """Layers of the U-Net at one step, or one layer at several; global tokens are the mean of the local ones."""

    def __init__(self, model, name, part="", step=STEP, trained=True):
        size = model["unet"].config.sample_size * 2 ** (len(model["vae"].config.block_out_channels) - 1)
        super().__init__(model, name, size, (0.5,) * 3, (0.5,) * 3, trained)
        self._over_time = step is None
        if self._over_time:
            kind, number = part.split("-")
            self._taps = [PARTS[kind][int(number) - 1]]
            self._steps, self.layer_names = TIMES, [f"{kind} {number}, step {t}" for t in TIMES]
        else:
            kinds = [part] if part else list(PARTS)
            self._taps = [tap for kind in kinds for tap in PARTS[kind]]
            self.layer_names = [f"{kind} {i + 1}" for kind in kinds for i in range(len(PARTS[kind]))]
            self._steps = (step,)
        modules = dict(model["unet"].named_modules())
        absent = [tap for tap in self._taps if tap not in modules]
        if absent:
            raise InputError(f"network {name}: expected the U-Net of Stable Diffusion 1.5, found one without {absent[0]}; "
                             "give the folder of that network")  # fmt: skip
        self._measure(f"sd{VERSION}-{part}-{step}")

    def token_shapes(self):
        """See ``TorchBackbone``: known from the architecture, so that no step is taken."""
        unet, taps = self.model["unet"], self._taps
        widths, levels = unet.config.block_out_channels, len(unet.config.block_out_channels)
        shapes = []
        for tap in taps:
            kind, level = tap.split(".")[0], int(tap.split(".")[1])
            level = level if kind == "down_blocks" else levels - 1 - level
            side = unet.config.sample_size >> level
            shapes.append((side, side, widths[level]))
        return shapes * len(self._steps)

    def _layer_modules(self):
        return None

    def pixel_tokens(self, pixels):
        """See ``Backbone``."""
        import torch
        from diffusers import DDIMInverseScheduler

        unet, vae, text = (self.model[part] for part in ("unet", "vae", "text"))
        scheduler = DDIMInverseScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
            set_alpha_to_one=False, steps_offset=1,
        )  # fmt: skip
        scheduler.set_timesteps(STEPS)
        latent = vae.encode(self._normalised(pixels)).latent_dist.mean * SCALE
        ids = torch.tensor([EMPTY], device=pixels.device)
        prompt = text(ids).last_hidden_state.expand(len(pixels), -1, -1)
        wanted = {STEPS - t for t in self._steps}  # the number of the call
        tapped = {}
        for number, time in enumerate(scheduler.timesteps[: max(wanted) + 1]):
            with outputs_of(unet, self._taps if number in wanted else ()) as seen:
                noise = unet(latent, time, encoder_hidden_states=prompt).sample
            if seen:
                tapped[number] = [seen[tap] for tap in self._taps]
            latent = scheduler.step(noise, time, latent).prev_sample
        outputs = [out for t in self._steps for out in tapped[STEPS - t]]
        outputs = [out[0] if isinstance(out, tuple) else getattr(out, "sample", out) for out in outputs]
        local = [out.permute(0, 2, 3, 1) for out in outputs]
        return local, [grid.mean((1, 2)) for grid in local]
