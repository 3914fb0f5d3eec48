"""Fine-tuning a network on a folder of labelled pictures, so that it can be fitted to the brain before and after.

finetune("demo-vit", "EuroSAT", "tuned") -> Result      the folder holds finetuned.safetensors and finetuned.json
load_backbone("demo-vit", weights="tuned/finetuned.safetensors")      the network, bit for bit
load_backbone("finetuned/NAME")                                       one that the app tuned, by its job's name
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
