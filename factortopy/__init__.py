"""FactorTopy: paint a deep vision network onto the human brain, and experiment on the painted brain.

import factortopy as ft

subject  = ft.load_subject("demo")
backbone = ft.load_backbone("demo-vit")
features = ft.extract(backbone, subject.images)
encoder  = ft.fit(subject, features)
"""

from importlib import import_module

from factortopy.errors import InputError

__version__ = "0.1.0"

# Resolved on first use (PEP 562): the app shows its first picture without waiting for torch.
_WHERE = {
    "Encoder": "encoder",
    "Features": "features",
    "Progress": "encoder",
    "Selectors": "encoder",
    "Split": "subjects.subject",
    "Subject": "subjects.subject",
    "brain_score": "analysis",
    "extract": "features",
    "fit": "encoder",
    "from_module": "backbones.modules",
    "list_backbones": "backbones",
    "load_backbone": "backbones",
    "load_subject": "subjects",
    "plan": "features",
    "read_image": "pictures.reading",
}
_MODULES = ("analysis", "experiments", "surfaces", "view")

__all__ = ["InputError", *_WHERE]


def __getattr__(name):
    if name in _WHERE:
        return getattr(import_module(f"factortopy.{_WHERE[name]}"), name)
    if name in _MODULES:
        return import_module(f"factortopy.{name}")
    raise AttributeError(f"module 'factortopy' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_WHERE, *_MODULES])
