"""Fine-tuning a network on a folder of labelled pictures, so that it can be fitted to the brain before and after.

finetune("demo-vit", "EuroSAT", "tuned") -> Result      the folder holds finetuned.safetensors and finetuned.json
load_backbone("demo-vit", weights="tuned/finetuned.safetensors")      the network, bit for bit
load_backbone("finetuned/NAME")                                       one that the app tuned, by its job's name
"""

from importlib import import_module

_WHERE = {
    "DEFAULTS": "recipe", "Result": "training", "check_settings": "recipe", "finetune": "training", "list_finetuned": "named",
    "load_finetuned": "named", "read_folder": "folder", "write_drawings": "drawings",
}  # fmt: skip
__all__ = list(_WHERE)


def __getattr__(name):
    if name in _WHERE:
        return getattr(import_module(f"factortopy.finetune.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'factortopy.finetune' has no attribute {name!r}")
