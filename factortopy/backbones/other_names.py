"""Names that other libraries give to the tensors of the same networks (transformers, MMPreTrain), by those of timm and OpenCLIP."""

import re

# How to tell whose names they are: a tensor that only that layout has.
LAYOUTS = (
    ("transformers' CLIP", r"(^|\.)embeddings\.class_embedding$"),
    ("transformers' SigLIP", r"(^|\.)embeddings\.patch_embedding\.bias$"),
    ("transformers' ViT, MAE or DINO", r"(^|\.)embeddings\.patch_embeddings\.(projection\.)?weight$"),
    ("transformers' SAM", r"(^|\.)vision_encoder\.patch_embed\.projection\.weight$"),
    ("MMPreTrain's", r"(^|\.)patch_embed\.projection\.weight$"),
)
# In order; each replaces what it finds at the start of a name or after a point.
RULES = [
    # where a network begins
    (r"embeddings\.(cls_token|class_embedding)$", "cls_token"),
    (r"embeddings\.(position_embeddings|position_embedding\.weight)$", "pos_embed"),
    (r"embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"embeddings\.patch_embeddings?\.", "patch_embed.proj."),
    (r"patch_embed\.projection\.", "patch_embed.proj."),
    (r"embeddings\.register_tokens$", "reg_token"),
    (r"embeddings\.mask_token$", "mask_token"),
    (r"embeddings\.position_ids$", "position_ids"),
    # blocks
    (r"ffn\.layers\.0\.0\.", "mlp.fc1."), (r"ffn\.layers\.1\.", "mlp.fc2."),
    (r"(?:encoder\.)?layers?\.(\d+)\.", r"blocks.\1."),
    (r"attention\.attention\.(query|key|value)\.", lambda m: f"attn.{m[1][0]}_proj."),
    (r"(?:attention|self_attn)\.([qkv])_proj\.", r"attn.\1_proj."),
    (r"attention\.output\.dense\.|attention\.o_proj\.|self_attn\.out_proj\.", "attn.proj."),
    (r"intermediate\.dense\.|mlp\.lin1\.", "mlp.fc1."),
    (r"(?<=\d\.)output\.dense\.|mlp\.lin2\.", "mlp.fc2."),
    (r"mlp\.weights_in\.", "mlp.fc1."),
    (r"mlp\.(?:weights_out|down_proj)\.", "mlp.fc2."),
    (r"layernorm_before\.|(?<=\d\.)(?:layer_norm1|ln1)\.", "norm1."),
    (r"layernorm_after\.|(?<=\d\.)(?:layer_norm2|ln2)\.", "norm2."),
    (r"layer_scale([12])\.lambda1$", r"ls\1.gamma"),
    # where it ends
    (r"head\.probe$", "attn_pool.latent"),
    (r"head\.layernorm\.", "attn_pool.norm."),
    (r"head\.attention\.out_proj\.", "attn_pool.proj."),
    (r"head\.(mlp\.fc[12]\.)", r"attn_pool.\1"),
    (r"pre_layrnorm\.", "norm_pre."),
    (r"(?:post_layernorm|layernorm)\.", "norm."),
    (r"ln1\.", "norm."),
    (r"neck\.conv1\.", "neck.0."), (r"neck\.layer_norm1\.", "neck.1."),
    (r"neck\.conv2\.", "neck.2."), (r"neck\.layer_norm2\.", "neck.3."),
]  # fmt: skip
# timm's names, by those of libraries that build the same network; a name that only theirs has tells which it is.
OPEN_CLIP = [
    (r"cls_token$", "class_embedding"), (r"pos_embed$", "positional_embedding"), (r"patch_embed\.proj\.", "conv1."),
    (r"norm_pre\.", "ln_pre."), (r"norm\.", "ln_post."), (r"blocks\.(\d+)\.", r"transformer.resblocks.\1."),
    (r"norm([12])\.", r"ln_\1."), (r"attn\.proj\.", "attn.out_proj."), (r"mlp\.fc1\.", "mlp.c_fc."), (r"mlp\.fc2\.", "mlp.c_proj."),
]  # fmt: skip
TORCHVISION = [
    (r"cls_token$", "class_token"), (r"pos_embed$", "encoder.pos_embedding"), (r"patch_embed\.proj\.", "conv_proj."),
    (r"norm\.", "encoder.ln."), (r"blocks\.(\d+)\.", r"encoder.layers.encoder_layer_\1."), (r"norm([12])\.", r"ln_\1."),
    (r"attn\.proj\.", "self_attention.out_proj."), (r"attn\.([qkv])_proj\.", r"self_attention.\1_proj."),
    (r"mlp\.fc1\.", "mlp.0."), (r"mlp\.fc2\.", "mlp.3."),
]  # fmt: skip
BUILDERS = (
    ("transformer.resblocks.0.ln_1.weight", OPEN_CLIP),
    ("encoder.layers.encoder_layer_0.ln_1.weight", TORCHVISION),
)


def layout_of(names):
    """Whose names these are, "" where that is not known."""
    for layout, sign in LAYOUTS:
        if any(re.search(sign, name) for name in names):
            return layout
    return ""


def renamed(tensors, wanted):
    """{name as the network has it: tensor} of another library's, whatever stands before each; None where it is none of ``LAYOUTS``.

    wanted : the network's names; by them timm's, OpenCLIP's and torchvision's networks are told apart
    """
    if not layout_of(tensors):
        return None
    rules = RULES + next((own for name, own in BUILDERS if name in wanted), [])
    # transformers 5 keeps DINOv3's layers in a "model" beside the embeddings
    within = any(re.search(r"(^|\.)model\.layer\.\d", key) for key in tensors)
    within = within and not any(re.search(r"(^|\.)model\.embeddings\.", key) for key in tensors)
    out = {}
    for key, tensor in tensors.items():
        name = re.sub(r"(^|\.)model\.(layer\.\d)", r"\1\2", key) if within else key
        for old, new in rules:
            name = re.sub(rf"(?:^|(?<=\.))(?:{old})", new, name)
        start, projection, _ = key.rpartition("visual_projection.weight")
        out[f"{start}vision_model.proj" if projection else name] = tensor.T if projection else tensor
    return out


def adapted(tensors, wanted):
    """Tensors as the network ``wanted`` ({name: tensor}) has them: attention joined or apart, class token and positions in its shape.

    tensors : {name: tensor} of one network, as ``renamed`` gives them, without a prefix
    """
    tensors = _registers(_joined(dict(tensors), wanted), wanted)
    if any(name.endswith(".gamma_1") for name in wanted):
        tensors = {re.sub(r"\.ls([12])\.gamma$", r".gamma_\1", key): tensor for key, tensor in tensors.items()}
    for key in (
        "cls_token",
        "pos_embed",
        "class_embedding",
        "positional_embedding",
        "class_token",
        "encoder.pos_embedding",
    ):
        if key in tensors and key in wanted:
            tensor, ndim = tensors[key], wanted[key].ndim
            lead = (1,) * (ndim - tensor.ndim)
            tensors[key] = tensor.reshape(lead + tuple(tensor.shape[max(tensor.ndim - ndim, 0) :]))
    return tensors


def _joined(tensors, wanted):
    """Queries, keys and values (and the two halves of a gated perceptron) in one tensor where the network has them so."""
    import torch

    for key in [key for key in tensors if key.endswith(".q_proj.weight") and key not in wanted]:
        stem = key.removesuffix("q_proj.weight")
        joined = "in_proj_" if stem + "in_proj_weight" in wanted else "qkv."
        for kind in ("weight", "bias"):
            parts = [tensors.pop(f"{stem}{part}_proj.{kind}", None) for part in "qkv"]
            if parts[0] is None or parts[2] is None:
                continue
            if parts[1] is None:  # a key's bias changes nothing: DINOv3 has none
                parts[1] = torch.zeros_like(parts[0])
            if kind == "bias" and f"{stem}q_bias" in wanted:
                tensors[f"{stem}q_bias"], tensors[f"{stem}v_bias"] = parts[0], parts[2]
            elif f"{stem}{joined}{kind}" in wanted or any(bool(part.any()) for part in parts):
                tensors[f"{stem}{joined}{kind}"] = torch.cat(parts)
    for key in [key for key in tensors if ".mlp.gate_proj." in key]:
        stem, kind = key.split("gate_proj.")
        gate, value = tensors.pop(key), tensors.pop(f"{stem}up_proj.{kind}")
        if f"{stem}fc1_g.{kind}" in wanted:
            tensors[f"{stem}fc1_g.{kind}"], tensors[f"{stem}fc1_x.{kind}"] = gate, value
        else:
            tensors[f"{stem}fc1.{kind}"] = torch.cat([gate, value])
    for key in [key for key in tensors if ".mlp.up_proj." in key]:
        tensors[key.replace("up_proj", "fc1")] = tensors.pop(key)
    for kind in ("weight", "bias"):
        pool = tensors.pop(f"head.attention.in_proj_{kind}", None)
        if pool is not None:
            tensors[f"attn_pool.q.{kind}"], tensors[f"attn_pool.kv.{kind}"] = (
                pool[: len(pool) // 3],
                pool[len(pool) // 3 :],
            )
    return tensors


def _registers(tensors, wanted):
    """DINOv2 with registers: timm adds the class token's position to the token."""
    position, token = tensors.get("pos_embed"), tensors.get("cls_token")
    if "reg_token" not in wanted or "reg_token" not in tensors or position is None or token is None:
        return tensors
    side = round(max(position.shape[1] - 1, 0) ** 0.5)
    if (
        side**2 + 1 != position.shape[1]
        or round(wanted["pos_embed"].shape[1] ** 0.5) ** 2 != wanted["pos_embed"].shape[1]
    ):
        return tensors
    return tensors | {"cls_token": token + position[:, :1], "pos_embed": position[:, 1:]}
