"""Any timm network: weights from the hub, its cache or a file, tokens of every block or stage."""

import hashlib
from pathlib import Path

from factortopy.backbones import UNTRAINED
from factortopy.backbones.base import Backbone, Site
from factortopy.errors import InputError

VERSION = 1  # of the preprocessing below: part of the fingerprint
PROBE_SECONDS = 3.0
OPTIONS = {"num_classes": 0}  # tokens are read before the classifier


def load_timm(name, weights=None):
    """A timm network by its name (``vit_small_patch14_dinov2.lvd142m``).

    weights : None (hub, or the hub's cache on this machine), "untrained", or a .safetensors / .pth file.

    Raises
    ------
    InputError
        Unknown name, weights that cannot be fetched or do not fit.
    """
    timm = _import_timm()
    architecture = name.split(".")[0]
    if not timm.is_model(architecture):
        close = timm.list_models(f"*{architecture[:12]}*")[:3]
        hint = f"; did you mean {', '.join(close)}?" if close else "; timm.list_models() lists them"
        raise InputError(f"network timm/{name}: expected the name of a timm network, found none called that{hint}")
    try:
        timm.get_pretrained_cfg(name)
    except RuntimeError:  # the part after the point
        tags = ", ".join(timm.list_pretrained(f"{architecture}.*")[:3])
        raise InputError(
            f"network timm/{name}: expected weights that timm knows, found none of that name; "
            f"choose {tags or architecture}"
        ) from None
    if weights == "untrained":
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # an untrained network must be the same one when it is loaded again
            model = timm.create_model(name, pretrained=False, **OPTIONS)
        return TimmBackbone(model, f"timm/{name}{UNTRAINED}", trained=False)
    if weights is None:
        _reachable(timm, name)
        model = _create(timm, name, f"weights of timm/{name}", **OPTIONS)
    else:
        model = _from_file(timm, name, Path(weights))
    return TimmBackbone(model, f"timm/{name}")


def _import_timm():
    try:
        import timm
    except RuntimeError as error:
        if "torchvision" in str(error):
            raise InputError(
                "torchvision: expected the build that matches torch, found another; install a matching pair: "
                "pip install -r requirements.txt"
            ) from None
        raise
    return timm


def _reachable(timm, name):
    """Raise within seconds when the weights are neither cached nor fetchable; the hub's own retries take a minute."""
    import huggingface_hub as hub

    cfg = timm.get_pretrained_cfg(name)
    where = getattr(cfg, "hf_hub_id", None) if cfg else None
    if not where:
        raise InputError(
            f"network timm/{name}: expected pretrained weights, timm has none for it; choose a tagged name "
            f"({', '.join(timm.list_pretrained(name.split('.')[0] + '*')[:3]) or 'see timm.list_pretrained()'}) "
            "or load it untrained"
        )
    repo = where if where != "timm/" else f"timm/{name}"
    files = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin")
    if any(isinstance(hub.try_to_load_from_cache(repo, file), str) for file in files):
        return
    by_hand = f"download model.safetensors of {repo} elsewhere and give its path as weights, or use demo-vit"
    try:
        if hub.constants.HF_HUB_OFFLINE:
            raise ConnectionError("offline mode is on")
        hub.get_hf_file_metadata(hub.hf_hub_url(repo, files[0]), timeout=PROBE_SECONDS)
    except hub.errors.EntryNotFoundError:
        return  # an older file name: the hub answers, so timm will find it
    except hub.errors.GatedRepoError:  # before its parent, RepositoryNotFoundError
        raise InputError(
            f"weights of timm/{name}: expected to fetch them from the model hub, which gives {repo} only to those who "
            f"accepted its terms; accept them on its page and log in (hf auth login), or {by_hand}"
        ) from None
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError):
        raise InputError(
            f"weights of timm/{name}: expected to fetch them from the model hub, which has no {repo} (or hides it); "
            f"choose other weights, or {by_hand}"
        ) from None
    except Exception as error:  # every failure of the network ends here, whatever library raised it
        raise InputError(
            f"weights of timm/{name}: expected to fetch them from the model hub, which did not answer "
            f"({_first_words(error, 120)}); connect to the internet, or {by_hand}"
        ) from None


def _from_file(timm, name, path):
    """The network with the weights of a file, all of them: timm itself is content with a file of another network."""
    import torch

    if not path.is_file():
        raise InputError(f"{path}: expected a weights file for timm/{name}, found none; check the path")
    with open(path, "rb") as file:
        if file.read(40).startswith(b"version https://git-lfs"):
            raise InputError(f"{path}: expected weights of timm/{name}, found a Git-LFS pointer; run: git lfs pull")
    try:
        tensors = timm.models.load_state_dict(str(path), weights_only=True)  # a pickle's code is not run
    except Exception as error:  # safetensors, pickle and zip raise many classes for one cause
        pickled = "weights_only" in str(error)
        reason = "a pickle that holds more than tensors; nothing in it was run" if pickled else _first_words(error)
        raise InputError(
            f"{path}: expected weights of timm/{name} as .safetensors, found a file that cannot be read ({reason}); "
            "copy or download it again"
        ) from None
    with torch.device("meta"):  # names alone
        wanted = timm.create_model(name, pretrained=False, **OPTIONS).state_dict()
    config = timm.get_pretrained_cfg(name)
    heads = (config and config.classifier) or ()
    heads = {head.split(".")[0] for head in ((heads,) if isinstance(heads, str) else heads)}
    tensors = {k: v for k, v in tensors.items() if k in wanted or k.split(".")[0] not in heads}
    # Told that the file has no classifier either, timm compares strictly.
    overlay = {"state_dict": tensors, "num_classes": 0, "label_offset": 0, "custom_load": False}
    model = _create(timm, name, str(path), pretrained_cfg_overlay=overlay, **OPTIONS)
    for key, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{path}: expected finite weights of timm/{name}, found infinity or NaN in {key}; take an earlier file"
            )
    return model


def _create(timm, name, what, **options):
    try:
        return timm.create_model(name, pretrained=True, **options)
    except Exception as error:  # timm raises many classes for one cause: the file does not fit
        raise InputError(
            f"{what}: expected weights that fit timm/{name}, found {_first_words(error)}; use the file of this network"
        ) from None


def _first_words(error, most=300):
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= most else words[:most] + "…"


class TimmBackbone(Backbone):
    """A timm network in evaluation mode; layers are its blocks (transformers) or stages (convolutional networks)."""

    def __init__(self, model, name, trained=True):
        import timm
        import torch

        self.model = model.eval().requires_grad_(False)
        self.name, self.trained = name, trained
        config = timm.data.resolve_model_data_config(model)
        self.input_size = int(config["input_size"][-1])
        self._mean = torch.tensor(config["mean"])[:, None, None]
        self._std = torch.tensor(config["std"])[:, None, None]
        self._prefix = bool(getattr(model, "num_prefix_tokens", 0))
        self._class_token = getattr(model, "cls_token", None) is not None
        blank = torch.zeros(1, self.input_size, self.input_size, 3, dtype=torch.uint8).numpy()
        shapes = [t.shape for t in self.tokens(blank)[0]]
        blocks = hasattr(model, "num_prefix_tokens") and len(model.blocks) == len(shapes)
        kind = "block" if blocks else "stage"
        self.layer_names = [f"{kind} {i + 1}" for i in range(len(shapes))]
        self._widths = [shape[-1] for shape in shapes]
        self.width = max(self._widths)
        digest = hashlib.blake2b(digest_size=10)
        for key, tensor in sorted(model.state_dict().items()):
            digest.update(key.encode() + tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
                          if tensor.ndim else key.encode() + str(tensor.item()).encode())  # fmt: skip
        self.fingerprint = f"timm{VERSION}-{name}-{self.input_size}-{digest.hexdigest()}"

    def prepare(self, images):
        """(B, H, W, 3) uint8 -> (B, 3, S, S) normalised; squashed, not cropped: a crop would move the visual field."""
        import torch

        return self._normalised(torch.as_tensor(images).permute(0, 3, 1, 2).float() / 255)

    def _normalised(self, pixels):
        import torch.nn.functional as F

        size = (self.input_size, self.input_size)
        if tuple(pixels.shape[2:]) != size:
            pixels = F.interpolate(pixels, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        return (pixels - self._mean) / self._std

    def pixel_tokens(self, pixels):
        """See ``Backbone``; the class token where the network has one, else the mean of the local tokens."""
        options = {"norm": False, "intermediates_only": True, "output_fmt": "NCHW"}
        if self._prefix:  # not every network of timm takes the flag
            options["return_prefix_tokens"] = True
        layers = self.model.forward_intermediates(self._normalised(pixels), **options)
        local, global_ = [], []
        for layer in layers:
            grid, prefix = layer if isinstance(layer, tuple | list) else (layer, None)
            grid = grid.permute(0, 2, 3, 1)
            local.append(grid)
            has_class = prefix is not None and self._class_token
            global_.append(prefix[:, 0] if has_class else grid.mean((1, 2)))
        return local, global_

    def sites(self):
        """Blocks of a transformer, the modules that timm names as stages otherwise; see ``Backbone.sites``.

        None where a module's output is not the layer itself: looked at with one picture.
        """
        import torch

        info = getattr(self.model, "feature_info", None) or []
        names = [layer["module"] for layer in getattr(info, "info", info)]
        modules = dict(self.model.named_modules())
        if len(names) != len(self._widths) or any(name not in modules for name in names):
            return None
        seen = {}
        hooks = [modules[n].register_forward_hook(lambda m, i, out, n=n: seen.__setitem__(n, out)) for n in names]
        try:
            with torch.no_grad():
                local, _ = self.pixel_tokens(torch.rand(1, 3, self.input_size, self.input_size))
        finally:
            for hook in hooks:
                hook.remove()
        sites = [self._site(modules[name], seen.get(name), tokens) for name, tokens in zip(names, local, strict=True)]
        return None if any(site is None for site in sites) else sites

    def _site(self, module, out, tokens):
        """The Site of a module that gave ``out``, None unless that is the layer ``tokens`` (1, h, w, C)."""
        import torch

        if not torch.is_tensor(out):
            return None
        prefix = getattr(self.model, "num_prefix_tokens", 0) if out.ndim == 3 else 0
        forms = {
            "tokens": out.ndim == 3 and out[:, prefix:].reshape(1, -1, out.shape[-1]),
            "nchw": out.ndim == 4 and out.permute(0, 2, 3, 1).flatten(1, 2),
            "nhwc": out.ndim == 4 and out.flatten(1, 2),
        }
        wanted = tokens.flatten(1, 2)
        for form, found in forms.items():
            if torch.is_tensor(found) and found.shape == wanted.shape and torch.allclose(found, wanted, atol=1e-4):
                attention = getattr(module, "attn", None)
                mixer, heads = getattr(attention, "proj", None), getattr(attention, "num_heads", 0)
                known = isinstance(mixer, torch.nn.Linear) and heads and mixer.in_features % heads == 0
                return Site(module, form, prefix, *((mixer, heads) if known else (None, 0)))
        return None

    def channel_weights(self):
        """What attention and perceptron of a transformer block add to its tokens; else the last weight that writes them.

        None for networks whose layers are put together of branches (Inception). See ``Backbone.channel_weights``.
        """
        info = getattr(self.model, "feature_info", None) or []
        names = [layer["module"] for layer in getattr(info, "info", info)]
        if len(names) != len(self._widths):
            return None
        found = [self._written(name, width) for name, width in zip(names, self._widths, strict=True)]
        return None if any(weight is None for weight in found) else found

    def _written(self, name, width):
        """(width, m) weights that write the output of the module ``name``; None where there are none."""
        import torch

        modules = dict(self.model.named_modules())
        block = [modules.get(f"{name}.{part}") for part in ("attn.proj", "mlp.fc2")]
        if all(isinstance(part, torch.nn.Linear) and len(part.weight) == width for part in block):
            gains = [getattr(modules.get(f"{name}.ls{i}"), "gamma", None) for i in (1, 2)]
            gains = [getattr(modules[name], f"gamma_{i}", gain) for i, gain in zip((1, 2), gains, strict=True)]
            # A block may scale what it adds, channel by channel.
            parts = [p.weight if g is None else g[:, None] * p.weight for p, g in zip(block, gains, strict=True)]
            return torch.cat(parts, 1).float().cpu().numpy()
        writers, paths = (torch.nn.Linear, torch.nn.Conv2d), list(modules)
        own = [path for path in paths if path == name or path.startswith(f"{name}.")]
        if not any(isinstance(modules[path], writers) for path in own):
            own = paths[: paths.index(name)]  # an activation: what comes before it writes its channels
        # Squeeze-and-excitation only scales channels; a shortcut passes on what earlier layers wrote.
        aside = {"se", "downsample"}
        weights = [
            modules[path].weight
            for path in own
            if isinstance(modules[path], writers) and not aside & set(path.split("."))
        ]
        weights = [weight for weight in weights if len(weight) == width]
        return weights[-1].flatten(1).float().cpu().numpy() if weights else None
