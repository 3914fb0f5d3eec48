"""FactorTopy: paint a deep vision network onto the human brain, and experiment on the painted brain.

import factortopy as ft

subject  = ft.load_subject("demo")
backbone = ft.load_backbone("demo-vit")
features = ft.extract(backbone, subject.images)
encoder  = ft.fit(subject, features)
"""

from importlib import import_module
from typing import TYPE_CHECKING

from factortopy.errors import InputError

if TYPE_CHECKING:  # what type checkers and editors see; at run time the same names come on first use
    from factortopy import analysis as analysis
    from factortopy import experiments as experiments
    from factortopy import export as export
    from factortopy import surfaces as surfaces
    from factortopy import view as view
    from factortopy.analysis.scores import brain_score as brain_score
    from factortopy.backbones.loading import list_backbones as list_backbones
    from factortopy.backbones.loading import load_backbone as load_backbone
    from factortopy.backbones.own_module import from_module as from_module
    from factortopy.encoder.encoder import Encoder as Encoder
    from factortopy.encoder.estimator import FactorTopyRegressor as FactorTopyRegressor
    from factortopy.encoder.fitting import Progress as Progress
    from factortopy.encoder.fitting import fit as fit
    from factortopy.encoder.selectors import Selectors as Selectors
    from factortopy.features.estimate import plan as plan
    from factortopy.features.extraction import Features as Features
    from factortopy.features.extraction import extract as extract
    from factortopy.features.extraction import extract_many as extract_many
    from factortopy.pictures.reading import read_image as read_image
    from factortopy.subjects.loading import load_subject as load_subject
    from factortopy.subjects.split import Split as Split
    from factortopy.subjects.subject import Subject as Subject

__version__ = "0.1.0"

# Resolved on first use (PEP 562): the app shows its first picture without waiting for torch.
_WHERE = {
    "Encoder": "encoder.encoder",
    "FactorTopyRegressor": "encoder.estimator",
    "Features": "features.extraction",
    "Progress": "encoder.fitting",
    "Selectors": "encoder.selectors",
    "Split": "subjects.split",
    "Subject": "subjects.subject",
    "brain_score": "analysis.scores",
    "extract": "features.extraction",
    "extract_many": "features.extraction",
    "fit": "encoder.fitting",
    "from_module": "backbones.own_module",
    "list_backbones": "backbones.loading",
    "load_backbone": "backbones.loading",
    "load_subject": "subjects.loading",
    "plan": "features.estimate",
    "read_image": "pictures.reading",
}
_MODULES = ("analysis", "experiments", "export", "surfaces", "view")

__all__ = ["InputError", *_WHERE]


def __getattr__(name):
    if name in _WHERE:
        return getattr(import_module(f"factortopy.{_WHERE[name]}"), name)
    if name in _MODULES:
        return import_module(f"factortopy.{name}")
    raise AttributeError(f"module 'factortopy' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_WHERE, *_MODULES])
