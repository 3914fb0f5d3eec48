"""Which of a checkpoint's tensors are the network's: one network of several, whatever wrappers stand before its names."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from factortopy.errors import InputError

# Wrappers that may stand inside a name as well as before it.
INSIDE = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
CHUNKS = re.compile(r"(^|\.)blocks\.\d+\.(\d+)\.")  # DINOv2's training keeps its blocks in groups, numbered on
FLAT = re.compile(r"(^|\.)(_?flat_param(_\d+)?)$")
COUNTED = ("num_batches_tracked",)  # older files have none; it changes nothing in evaluation
LEFT_BY_TOOLS = ("total_ops", "total_params", "relative_position_index", "attn_mask", "position_ids", "bias_mask")
# Parts that follow a network or only train it; where the network has one of that name, it is the network's.
BESIDE = re.compile(
    r"(mask_token|masked_embed|mask_embed|heads?|fc|classifier|linear_head|aux_head|head_dist|dino_head|ibot_head|pre_logits|pooler|"
    r"projectors?|projection_head|predictors?|contrastive_head|neck_head|decoder\w*|queue\w*|logit_scale|logit_bias|local_cls_norm|"
    r"rope_embed|criterion|loss\w*|prototypes|center)(\.|$)"
)
# Of several networks in a file, the one that its authors evaluate.
PREFERENCE = (
    (5, {"ema", "teacher", "averaged", "swa"}), (4, {"online"}), (3, {"target", "base", "q"}),
    (1, {"student", "momentum", "k", "key", "m", "non"}),
)  # fmt: skip
NEUTRAL = 2


@dataclass
class Chosen:
    """The tensors that are one network's.

    prefix : what stood before their names
    tensors : {name in the network, or as near as it comes: tensor}
    other : names of further networks in the file
    """

    prefix: str
    tensors: dict[str, Any]
    other: list[str] = field(default_factory=list)

    def notice(self):
        """A sentence where the file holds several networks; "" otherwise."""
        if not self.other:
            return ""
        read, beside = self.prefix or "the plain names", ", ".join(self.other[:4])
        return f"weights of {read} read, of several networks in the file (beside it {beside})"


def plain_names(tensors, wanted=()):
    """{name without what compiling, FSDP and checkpointing put into it: tensor}; pruned and weight-normed ones as they act.

    wanted : the network's names: one that numbers its blocks in groups itself keeps them
    """
    tensors = {".".join(part for part in key.split(".") if part not in INSIDE): value for key, value in tensors.items()}
    if not any(CHUNKS.search(name) for name in wanted):
        tensors = {CHUNKS.sub(r"\1blocks.\2.", key): value for key, value in tensors.items()}
    return folded(tensors)


def folded(tensors):
    """The same tensors; a pruned weight is the product with its mask, a weight-normed one its direction times its length."""
    import torch

    out = dict(tensors)
    for key in tensors:
        if key.endswith("_orig") and f"{key[:-5]}_mask" in tensors:
            out[key[:-5]] = out.pop(key) * out.pop(f"{key[:-5]}_mask")
        for length, direction in (("_g", "_v"), (".original0", ".original1")):
            stem = key.removesuffix(length)
            if stem == key or stem + direction not in out or key not in out:
                continue
            name = stem.replace("parametrizations.", "")
            if length == "_g" and not stem.endswith("weight"):
                continue
            g, v = tensors[key], tensors[stem + direction]
            if g.ndim == v.ndim and g.numel() == g.shape[0] == v.shape[0]:
                out[name] = torch._weight_norm(v.float(), g.float(), 0)
                del out[key], out[stem + direction]
    return out


def choose(tensors, wanted, what):
    """The tensors of the one network in a file whose names are ``wanted``.

    The prefix that stands before most of the wanted names counts: nothing that the network itself calls so is taken off.

    tensors : {path: tensor}; wanted : collection of names
    what : the file and the network, for messages

    Returns
    -------
    Chosen, with every tensor under the prefix, wanted or not

    Raises
    ------
    InputError
        Several networks that fit alike, whose tensors differ.
    """
    counts = Counter()
    counting = {name for name in wanted if not name.endswith(COUNTED)}
    for key in tensors:
        parts = key.split(".")
        for i in range(len(parts)):
            if ".".join(parts[i:]) in counting:
                counts[".".join(parts[:i])] += 1
    if not counts:
        return Chosen("", dict(tensors))
    most = max(counts.values())
    best = sorted((p for p, n in counts.items() if n == most), key=lambda p: (-rank(p), len(p), p))
    first = best[0]
    for other in best[1:]:
        if rank(other) == rank(first) and not _alike(tensors, first, other, counting):
            if 2 * most < len(counting):  # no networks: parts of one, under other names
                return Chosen("", dict(tensors))
            raise InputError(
                f"{what}, found several networks that fit alike ({', '.join(p or 'plain names' for p in best[:4])}); save the one "
                "that you mean alone: torch.save({k: v for k, v in tensors.items() if …}, 'weights.pth')"
            )
    near = [p for p, n in counts.items() if p != first and 2 * n > most and not _alike(tensors, first, p, counting)]
    return Chosen(first, under(tensors, first), sorted(p or "plain names" for p in near))


def under(tensors, prefix):
    """{name: tensor} of what lies under a prefix."""
    start = prefix + "." if prefix else ""
    return {key[len(start) :]: tensor for key, tensor in tensors.items() if key.startswith(start)}


def rank(prefix):
    """How much a network of this prefix is the one to read."""
    words = set(re.split(r"[._]", prefix.lower()))
    return next((value for value, names in PREFERENCE if words & names), NEUTRAL)


def _alike(tensors, one, other, names):
    """Whether two prefixes hold the same numbers."""
    import torch

    start, begin = (p + "." if p else "" for p in (one, other))
    pairs = ((tensors.get(start + name), tensors.get(begin + name)) for name in names)
    return all(a is not None and b is not None and a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def aside(name, heads=()):
    """Whether a tensor that the network lacks follows the network, or only trained it."""
    return bool(BESIDE.match(name)) or name.split(".")[0] in heads or name.endswith((*LEFT_BY_TOOLS, *COUNTED))
