"""A file's tensors against a network's: names, shapes, numbers and what the file says of itself, before any of it is loaded."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from factortopy.backbones.other_names import adapted, layout_of, renamed
from factortopy.backbones.unwrap import COUNTED, FLAT, aside, choose, plain_names
from factortopy.backbones.weights import Checkpoint
from factortopy.errors import InputError
from factortopy.wording import first_words

POSITIONS = re.compile(
    r"(^|[._])(pos_embed\w*|pos_embedding|positional_embedding|position_embeddings?|relative_position_bias_table|rel_pos\w*)($|\.)"
)
AFTER = ("proj",)  # CLIP's projection to the captions' space: after every layer, and left out of some files
SHOWN = 5  # names of each kind in a message
ADAPTER = re.compile(r"\.(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector)\.|\.hada_w1|\.lora_(up|down)\.")
HEADS = ("num_attention_heads", "num_heads", "attention_heads", "n_heads", "n_head")
# Parts of a file's settings that speak of the network that looks at pictures.
PICTURES = ("vision_config", "vision_cfg", "model_args", "model", "backbone", "encoder", "net", "student")


@dataclass
class Match:
    """How tensors compare with a network.

    tensors : {name: tensor} to load
    unknown, absent : names; misshapen, integers : sentences
    positions : {name: (shape in the file, shape in the network)} of position embeddings that differ
    notices : sentences for people
    """

    tensors: dict[str, Any]
    count: int
    wanted: int
    unknown: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    integers: list[str] = field(default_factory=list)
    positions: dict[str, Any] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    prefix: str = ""

    @property
    def named(self):
        """Whether the names are those of the network."""
        return not (self.unknown or self.absent)

    @property
    def fits(self):
        return self.named and not (self.misshapen or self.integers)


def match(file, wanted, what, heads=(), convert=None):
    """Compare a file with a network.

    file : ``Checkpoint``, or {name: tensor}
    wanted : the network's state_dict (tensors on torch's meta device do)
    heads : first parts of names that a file may have beside the network (its classifier)
    convert : function of {name: tensor}, for names that a library has changed since

    Returns
    -------
    Match
    """
    tensors = plain_names(file.tensors if isinstance(file, Checkpoint) else file, wanted)
    first = _compared(tensors, wanted, what, heads, convert)
    if first.named:
        return first
    others = renamed(tensors, wanted)
    if others is None:
        return first
    second = _compared(others, wanted, what, heads, lambda tensors: adapted(tensors, wanted))
    return second if len(second.absent) <= len(first.absent) else first


def _compared(tensors, wanted, what, heads, convert):
    chosen = choose(tensors, wanted, what)
    own = convert(chosen.tensors) if convert else chosen.tensors
    unknown = [key for key in own if key not in wanted and key not in AFTER and not aside(key, heads)]
    lacking = set(unknown)
    own = {key: tensor for key, tensor in own.items() if key in wanted or key in lacking}
    result = Match(own, len(own), len(wanted), unknown, prefix=chosen.prefix)
    result.notices += [notice] if (notice := chosen.notice()) else []
    for key, asked in wanted.items():
        if key not in own:
            if not key.endswith(COUNTED) and key not in AFTER:
                result.absent.append(key)
            continue
        tensor = own[key]
        if tensor.shape != asked.shape:
            sizes = tuple(tensor.shape), tuple(asked.shape)
            if POSITIONS.search(key):
                result.positions[key] = sizes
            else:
                result.misshapen.append(f"{key} is {sizes[0]} instead of {sizes[1]}")
        reason = _no_numbers(tensor, asked)
        if reason:
            result.integers.append(f"{key} is {reason}")
    return result


def _no_numbers(tensor, asked):
    """What a tensor is where it holds no plain floating-point numbers though the network does; "" otherwise."""
    import torch

    if not asked.is_floating_point():
        return ""
    if tensor.is_meta:
        return "on the meta device, without numbers"
    if tensor.layout != torch.strided:
        return f"sparse ({tensor.layout})".replace("torch.", "")
    # Numbers of 8 bits are scaled by others beside them: taken as they are they would be wrong.
    plain = tensor.is_floating_point() and tensor.dtype.itemsize > 1
    return "" if plain else str(tensor.dtype)


def refuse(result, tensors, label, what):
    """InputError where a ``Match`` does not fit.

    tensors : the file's, all of them, by which it is told what they are
    """
    if result.fits:
        return
    kind = _of_what(result, tensors)
    kinds = {
        "unknown": result.unknown,
        "missing": result.absent,
        "of another shape": result.misshapen,
        "of another kind": result.integers,
    }
    problems = [
        f"{len(keys)} {word} ({', '.join(keys[:SHOWN])}{', …' if len(keys) > SHOWN else ''})"
        for word, keys in kinds.items()
        if keys
    ]
    remedy = kind or "use the file of this network"
    raise InputError(
        f"{label}: expected the {result.wanted} tensors that fit {what}, found {result.count}, {'; '.join(problems)}; {remedy}"
    )


def _of_what(result, tensors):
    """What to do with tensors of a kind that is known by its names; "" for any others."""
    names = list(tensors)
    if any(FLAT.search(name) for name in names):
        return "FSDP flattened them: save the whole state_dict in training (StateDictType.FULL_STATE_DICT) and give that file"
    if any(ADAPTER.search(name) for name in names):
        return "adapters (LoRA) lie in it: merge them into the network (peft: model.merge_and_unload()) and save its state_dict"
    if any(
        key.endswith(("weight_orig", "weight_g", "weight_u", "parametrizations.weight.original"))
        or ".parametrizations." in key
        for key in result.unknown
    ):
        return (
            "parametrized weights lie in it: take the parametrization off "
            "(torch.nn.utils.parametrize.remove_parametrizations) and save the state_dict again"
        )
    empty = [key for key in result.tensors if key not in result.unknown and result.tensors[key].numel() == 0]
    if empty:
        return "some are empty, as ZeRO stage 3 leaves them: gather them (python zero_to_fp32.py . weights) and give that file"
    if any(word.endswith(("int8", "uint8")) or "float8" in word for word in result.integers):
        return "it is quantised: give the file with whole weights"
    layout = layout_of(names)
    if layout:
        return f"these are the names of {layout}: load the network of that kind and size"
    return ""


# ---------------------------------------------------------------- positions


def check_positions(result, label, what, grid=None):
    """A sentence for each position embedding that is resampled; InputError where the grids are not of one form.

    grid : (rows, columns) of the network's tokens, None where they lie in a square
    """
    notices = {}
    for key, (theirs, ours) in result.positions.items():
        relative = "rel" in key
        sides = _sides(theirs, ours, None if relative else grid, along=re.search(r"rel_pos_[hw]$", key))
        if sides is None:
            raise InputError(
                f"{label}: expected position embeddings of {what}, {key} of {ours}, found {theirs}: no other size of the same square "
                "grid; use the file of this network"
            )
        notices.setdefault(positions_notice(*sides, relative=relative), key)
    return list(notices)


def positions_notice(theirs, ours, relative=False):
    """The sentence on positions that are resampled from one grid, (rows, columns), to another."""
    words = "relative positions" if relative else "position embeddings"
    return f"{words} resampled from {theirs[0]} × {theirs[1]} (the file's) to {ours[0]} × {ours[1]} (this network's)"


def _sides(theirs, ours, grid, along=False):
    """((h, w) of the file, (h, w) of the network), None where one cannot be resampled to the other."""
    if len(theirs) == len(ours) == 4 and theirs[0] == ours[0] and theirs[3] == ours[3]:
        pairs = theirs[1:3], ours[1:3]
        return pairs if pairs[0][0] == pairs[0][1] and pairs[1][0] == pairs[1][1] else None
    if theirs[-1] != ours[-1] or len(theirs) != len(ours) or theirs[:-2] != ours[:-2]:
        return None
    if grid is not None and grid[0] != grid[1]:
        return None
    n, m = theirs[-2], ours[-2]
    extra = range(0, 10) if grid is None else [m - grid[0] * grid[1]]
    if along:  # a table of offsets along one axis
        return (n, 1), (m, 1)
    for k in extra:
        a, b = math.isqrt(max(n - k, 0)), math.isqrt(max(m - k, 0))
        if k >= 0 and a and b and a * a == n - k and b * b == m - k:
            return (a, a), (b, b)
    return None


# ---------------------------------------------------------------- what the file says of itself


def check_facts(file, module, label, what):
    """InputError where the file says that its network has other heads, activations or a picture of another form."""
    if not isinstance(file, Checkpoint):
        return
    heads = {m.num_heads for m in module.modules() if isinstance(getattr(m, "num_heads", None), int)}
    quick = any("QuickGELU" in type(m).__name__ for m in module.modules())
    names = {key.rsplit(".", 1)[-1] for key in file.tensors}
    if {
        "input_resolution",
        "context_length",
        "vocab_size",
    } <= names and not quick:  # only OpenAI's own files have these
        raise InputError(
            f"{label}: expected weights trained with GELU as {what} has, found OpenAI's, which were trained with QuickGELU; "
            "load the network with that activation (its name has quickgelu in it, or a tag as openai)"
        )
    for facts in file.facts:
        stated = _stated(facts, HEADS)
        if isinstance(stated, int) and not isinstance(stated, bool) and len(heads) == 1 and stated not in heads:
            raise InputError(
                f"{label}: expected weights for {heads.pop()} attention heads as {what} has, found that the file says {stated}; "
                "load the network with that number"
            )
        act = _stated(facts, ("hidden_act",))
        if isinstance(act, str) and (act == "quick_gelu") != quick and act in ("quick_gelu", "gelu"):
            raise InputError(
                f"{label}: expected weights trained with {'QuickGELU' if quick else 'GELU'} as {what} has, found that config.json says "
                f"{act}; load the network with that activation (its name has quickgelu in it, or a tag as openai)"
            )
        size = _stated(facts, ("image_size", "img_size", "input_size"))
        if (
            isinstance(size, list | tuple)
            and len(size) in (2, 3)
            and all(isinstance(n, int) for n in size)
            and size[-1] != size[-2]
        ):
            raise InputError(
                f"{label}: expected weights for square pictures as {what} takes, found that the file says {size[-2]} × {size[-1]}; "
                "use a file that was trained on square ones"
            )
    if any(key.endswith("base_encoder.cls_token") and tensor.shape[-1] == 384 for key, tensor in file.tensors.items()):
        if heads and 12 not in heads:
            raise InputError(
                f"{label}: expected weights for {heads.pop()} attention heads as {what} has, found MoCo v3's small one, which has 12; "
                "load it as mocov3-s"
            )


def _stated(facts, names, depth=0):
    """The value of the first of the names in settings, those of the part that looks at pictures first."""
    if not isinstance(facts, dict):
        facts = getattr(facts, "__dict__", None) or {}
    for part in PICTURES:
        inner = facts.get(part)
        inner = inner if isinstance(inner, dict) and inner else getattr(inner, "__dict__", None)
        if inner and depth < 4 and (value := _stated(inner, names, depth + 1)) is not None:
            return value
    return next((facts[name] for name in names if facts.get(name) is not None), None)


# ---------------------------------------------------------------- loading


def fit_weights(module, file, label, what, heads=(), convert=None):
    """Load a file's tensors into a module, every one of the module's and no other.

    Returns
    -------
    list of str
        Sentences: which network of several was read, positions that were resampled.

    Raises
    ------
    InputError
        Naming the first five keys that are unknown, missing or of another shape, and what is not finite.
    """
    file_tensors = file.tensors if isinstance(file, Checkpoint) else file
    result = match(file, module.state_dict(), f"{label}: expected weights of {what}", heads, convert)
    refuse(result, file_tensors, label, what)
    check_facts(file, module, label, what)
    notices = result.notices + check_positions(result, label, what)
    wanted = module.state_dict()
    for key in result.positions:
        result.tensors[key] = resampled(result.tensors[key], wanted[key].shape)
    try:
        module.load_state_dict(
            {key: wanted[key] for key in wanted if key.endswith(COUNTED) or key in AFTER} | result.tensors
        )
    except RuntimeError as error:
        raise InputError(
            f"{label}: expected weights that fit {what}, found {first_words(error)}; use the file of this network"
        ) from None
    finite(module, label, what)
    return notices


def resampled(positions, shape):
    """Position embeddings ((1, n, C) or (n, C), the class token's first where there is one) on another square grid."""
    from timm.layers import resample_abs_pos_embed

    table = positions.float().reshape(1, *positions.shape[-2:])
    (a, _), (b, _) = _sides(tuple(table.shape), (1, *shape[-2:]), None)
    extra = table.shape[1] - a * a
    return resample_abs_pos_embed(table, [b, b], num_prefix_tokens=extra).reshape(shape)


def finite(module, label, what):
    """InputError naming the first tensor of a module that holds infinity or NaN."""
    import torch

    for key, tensor in module.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{label}: expected finite weights of {what}, found infinity or NaN in {key}; take an earlier file"
            )
