"""Any timm network: weights from the hub, its cache or a file, tokens of every block or stage."""

import inspect
from difflib import get_close_matches
from fnmatch import fnmatch

from factortopy.backbones.base import UNTRAINED, Site
from factortopy.backbones.modules import HookedBackbone, TorchBackbone, attention_of, outputs_of
from factortopy.backbones.names import unknown
from factortopy.backbones.published import Hub, console_progress
from factortopy.backbones.timm_files import create, from_file
from factortopy.backbones.weights import seeded
from factortopy.errors import InputError

VERSION = 1  # of the preprocessing: part of the fingerprint
SETTLED_AT = 128  # pixels a side of the noise that random networks are settled with
OPTIONS = {"num_classes": 0}  # tokens are read before the classifier


def load_timm(name, weights=None, label=None, options=None, source=None, layers=None, on_progress=None):
    """A timm network by its name (``vit_small_patch14_dinov2.lvd142m``).

    weights : None (hub, or the hub's cache on this machine), "untrained", or a .safetensors / .pth file or a folder with one.
    label : what it is called here; options : of ``timm.create_model`` beside the name
    source : where the weights are published when timm does not know (MoCo v3)
    layers : names of modules to read as layers; None: blocks or stages

    Raises
    ------
    InputError
        Unknown name, weights that cannot be fetched or do not fit.
    """
    timm = import_timm()
    label, options = label or f"timm/{name}", {**OPTIONS, **(options or {})}
    check_name(timm, name, label)
    if weights == "untrained":
        model = seeded(lambda: settled(timm.create_model(name, pretrained=False, **options)))
        return wrap(model, label + UNTRAINED, layers, trained=False, size=options.get("img_size"))
    progress = on_progress or console_progress(label)
    if weights is None and source is not None:
        weights = source.fetch(label, progress)
    if weights is None:
        where = hub_of(name, label)
        where.fetch(label, progress)
        model, notices = create(timm, name, f"weights of {label}", label, **options), []
    else:
        model, notices = from_file(timm, name, weights, label, options)
    backbone = wrap(model, label, layers, size=options.get("img_size"))
    backbone.notices = notices
    return backbone


def _unread(name, what):
    return InputError(
        f"network {name}: expected blocks or stages as maps of the picture, found {what}; build it with timm.create_model and name "
        "its layers yourself: factortopy.from_module(module, layers)"
    )


def settled(model):
    """The same model; running means and variances of random weights are those of seeded noise.

    Left at 0 and 1, a deep network such as Inception multiplies what it sees until half precision cannot hold it.
    """
    import timm
    import torch

    kinds = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)
    norms = [module for module in model.modules() if isinstance(module, kinds)]
    if not norms or next(model.parameters()).is_meta:
        return model
    try:
        _show_noise(model, norms, SETTLED_AT)
    except Exception:  # it takes its own size alone (LeViT, CoAtNet); libraries say so by any class
        _show_noise(model, norms, timm.data.resolve_model_data_config(model)["input_size"][-1])
    return model.eval()


def _show_noise(model, norms, side):
    import torch

    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average of what is seen
    with torch.no_grad():
        model.train()(torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(0)))


def wrap(model, name, layers=None, trained=True, size=None, colours=None):
    """The network around a timm model.

    layers : patterns of the names of modules to read ("stages.*.blocks.*"); None: blocks or stages
    size, colours : input size, (mean, std); None: as published
    """
    import timm

    config = timm.data.resolve_model_data_config(model)
    size, colours = size or config["input_size"][-1], colours or (config["mean"], config["std"])
    if layers is None:
        return TimmBackbone(model, name, trained, size, colours)
    modules = [key for key, _ in model.named_modules()]
    chosen = [key for key in modules if any(fnmatch(key, p) and key.count(".") == p.count(".") for p in layers)]
    return HookedBackbone(model, chosen, name, size, *colours, trained=trained)


def check_name(timm, name, label):
    """Raise InputError for a name or a tag that timm does not know, with the nearest ones."""
    architecture, _, tag = name.partition(".")
    current = timm.models.get_deprecated_models().get(architecture)
    if current:
        raise InputError(f"network {label}: expected timm's name of today, found an older one; write timm/{current}")
    if not timm.is_model(architecture):
        raise unknown(f"timm/{name}")
    try:
        timm.get_pretrained_cfg(name)
    except RuntimeError:  # the part after the point
        tags = [one.split(".", 1)[1] for one in timm.list_pretrained(f"{architecture}.*") if "." in one]
        tags = [*get_close_matches(tag, tags, 1), *tags]
        names = ", ".join(f"timm/{architecture}.{one}" for one in dict.fromkeys(tags[:3]))
        raise InputError(
            f"network {label}: expected weights that timm knows, found none of that name; choose {names or f'timm/{architecture}'}"
        ) from None


def import_timm():
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


def hub_of(name, label=None):
    """Where timm's weights of a network are published (``Hub``)."""
    import timm

    config = timm.get_pretrained_cfg(name)
    where = getattr(config, "hf_hub_id", None) if config else None
    if not where:
        tagged = timm.list_pretrained(name.split(".")[0] + "*")[:3]
        raise InputError(
            f"network {label or name}: expected pretrained weights, timm has none for it; choose a tagged name "
            f"({', '.join(f'timm/{one}' for one in tagged) or 'see timm.list_pretrained()'}) "
            "or load it untrained"
        )
    files = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin")
    own = getattr(config, "hf_hub_filename", None)
    return Hub(where if where != "timm/" else f"timm/{name}", (own,) if own else files)


class TimmBackbone(TorchBackbone):
    """A timm network in evaluation mode; layers are its blocks (transformers) or stages (convolutional networks).

    Raises
    ------
    InputError
        A network whose blocks or stages timm does not hand out as maps of the picture.
    """

    def __init__(self, model, name, trained=True, size=None, colours=None):
        import timm

        config = timm.data.resolve_model_data_config(model)
        colours = colours or (config["mean"], config["std"])
        super().__init__(model, name, size or config["input_size"][-1], *colours, trained)
        read = getattr(model, "forward_intermediates", None)
        if read is None:
            raise _unread(name, "none that timm hands out")
        self._options = {"norm": False, "intermediates_only": True, "output_fmt": "NCHW"}
        takes = inspect.signature(read).parameters
        # Where timm keeps the class token to itself (CaiT, XCiT: it comes after the last block), global is the mean.
        self._prefix = bool(getattr(model, "num_prefix_tokens", 0)) and "return_prefix_tokens" in takes
        if self._prefix:
            self._options["return_prefix_tokens"] = True
        self._class_token = self._prefix and getattr(model, "cls_token", None) is not None
        self._measure(f"timm{VERSION}")
        blocks = hasattr(model, "num_prefix_tokens") and len(getattr(model, "blocks", ())) == len(self._shapes)
        kind = "block" if blocks else "stage"
        self.layer_names = [f"{kind} {i + 1}" for i in range(len(self._shapes))]

    def token_shapes(self):
        """See ``TorchBackbone``; a network that looks at values (Gemma) cannot run without them: timm says its layers' shapes."""
        try:
            return super().token_shapes()
        except InputError as error:
            if error.__cause__ is None or not next(self.model.parameters()).is_meta:
                raise
            sides = [(self.input_size // layer["reduction"], layer["num_chs"]) for layer in self._layers()]
            return [(side, side, width) for side, width in sides]

    def pixel_tokens(self, pixels):
        """See ``Backbone``; the class token where timm hands one out, else the mean of the local tokens."""
        local, global_ = [], []
        for layer in self.model.forward_intermediates(self._normalised(pixels), **self._options):
            grid, prefix = layer if isinstance(layer, tuple | list) else (layer, None)
            if grid.ndim != 4:
                raise _unread(self.name, f"a layer of {tuple(grid.shape)}")
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

        names, modules = self._layer_modules(), dict(self.model.named_modules())
        if names is None or len(names) != len(self._widths):
            return None
        with outputs_of(self.model, names) as seen, torch.no_grad():
            local, _ = self.pixel_tokens(torch.rand(1, 3, self.input_size, self.input_size, device=self.device))
        sites = [self._site(modules[name], seen.get(name), tokens) for name, tokens in zip(names, local, strict=True)]
        return None if any(site is None for site in sites) else sites

    def _site(self, module, out, tokens):
        """The Site of a module that gave ``out``, None unless that is the layer ``tokens`` (1, h, w, C)."""
        import torch

        if not torch.is_tensor(out):
            return None
        prefix = max(out.shape[1] - tokens.shape[1] * tokens.shape[2], 0) if out.ndim == 3 else 0
        forms = {
            "tokens": out.ndim == 3 and out[:, prefix:].reshape(1, -1, out.shape[-1]),
            "nchw": out.ndim == 4 and out.permute(0, 2, 3, 1).flatten(1, 2),
            "nhwc": out.ndim == 4 and out.flatten(1, 2),
        }
        wanted = tokens.flatten(1, 2)
        for form, rows in forms.items():
            if torch.is_tensor(rows) and rows.shape == wanted.shape and torch.allclose(rows, wanted, atol=1e-4):
                return Site(module, form, prefix, *attention_of(module))
        return None

    def _layer_modules(self):
        names, modules = [layer["module"] for layer in self._layers()], dict(self.model.named_modules())
        return (
            names if all(name in modules for name in names) else None
        )  # timm names some that there are none of (Twins, MViTv2)

    def _layers(self):
        info = getattr(self.model, "feature_info", None) or []
        return getattr(info, "info", info)
