"""What other libraries raise ends at our door: one line with its cause, whatever is given to whom; our own faults stay faults."""

import builtins

import fuzzing
import numpy as np
import pytest
import timm
import torch
from fuzz_parsers import PARSERS
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_folder import make_folder

import factortopy as ft
from factortopy import foreign
from factortopy.backbones.loading import load_backbone
from factortopy.cli.main import main
from factortopy.errors import InputError, Stopped
from factortopy.foreign import door

KINDS = sorted(
    (kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, Exception)
     and not issubclass(kind, (UnicodeError, MemoryError, BaseExceptionGroup, ImportError))), key=lambda kind: kind.__name__,
)  # fmt: skip
WORDS = st.text(max_size=300)


def one_line(error):
    """The message of an InputError that people can read."""
    words = str(error)
    assert isinstance(error, InputError) and "\n" not in words and "; " in words and len(words) < 700, words
    return words


def foreign_function(source, **names):
    """A function of a module that is not ours."""
    space = {"__name__": "somebodys_library", **names}
    exec(source, space)
    return space["raising"]


# ---------------------------------------------------------------- the door


@given(st.sampled_from(KINDS), WORDS)
@settings(max_examples=100, deadline=None)
def test_any_exception_of_a_library_is_one_line_and_its_cause_is_kept(kind, words):
    error = kind(words)
    raising = foreign_function("def raising():\n    raise error", error=error)
    with pytest.raises(InputError) as caught, door("network x", "one that runs", "choose another"):
        raising()
    assert caught.value.__cause__ is error or foreign.is_out_of_memory(error)
    assert one_line(caught.value).startswith("network x: expected ")


def ours():
    raise KeyError("a slip of ours")


def test_our_own_faults_stay_faults(monkeypatch):
    monkeypatch.setattr(foreign, "OURS", (*foreign.OURS, __name__.split(".")[0]))
    with pytest.raises(KeyError), door("network x", "one that runs", "choose another"):
        ours()
    with pytest.raises(TypeError), door("network x", "one that runs", "choose another"):
        len(3)  # raised in C, called by us
    with pytest.raises(InputError, match="^mine; do this$"), door("a", "b", "c"):
        raise InputError("mine; do this")
    with pytest.raises(Stopped), door("a", "b", "c"):
        raise Stopped
    with pytest.raises(InputError, match="No module named 'nothing_here'"), door("a", "b", "pip install it"):
        import nothing_here  # noqa: F401
    with pytest.raises(ModuleNotFoundError), door("a", "b", "c"):
        import factortopy.nothing_here  # noqa: F401


def test_too_little_memory_goes_to_whom_it_concerns():
    full = foreign_function("def raising():\n    raise RuntimeError('CUDA out of memory')")
    with pytest.raises(InputError, match="memory") as caught, door("network x", "one", "other"):
        full()
    one_line(caught.value)
    with pytest.raises(RuntimeError, match="out of memory"), door("x", "y", "z", answers_memory=True):
        full()


# ---------------------------------------------------------------- networks


class Raising(torch.nn.Module):
    """A module of somebody's that raises when pictures are shown; ``after`` calls go well."""

    def __init__(self, raising, after=0):
        super().__init__()
        self.stem, self.raising, self.left = torch.nn.Conv2d(3, 4, 8, 8), raising, after

    def forward(self, x):
        x = self.stem(x)
        if self.left <= 0:
            self.raising()
        self.left -= 1
        return x


@given(st.sampled_from(KINDS), WORDS, st.sampled_from((0, 1)))
@settings(max_examples=60, deadline=None)
def test_what_a_module_raises_is_one_line_from_from_module_and_extract(kind, words, after):
    raising = foreign_function("def raising():\n    raise error", error=kind(words))
    pictures = list(np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(InputError) as caught:
        backbone = ft.from_module(Raising(raising, after * 100), ["stem"], name="mine", input_size=32)
        backbone.model.left = 0
        ft.extract(backbone, pictures)
    assert "mine" in one_line(caught.value)


@pytest.mark.parametrize(
    "library, name", [("timm", "timm/test_vit untrained"), ("open_clip", "open_clip/RN50 untrained")]
)
def test_what_a_library_raises_while_it_builds(library, name, monkeypatch, tmp_path, capsys):
    raising = foreign_function("def raising(*a, **k):\n    raise ZeroDivisionError('their\\nslip')")
    if library == "timm":
        monkeypatch.setattr(timm, "create_model", raising)
    else:
        monkeypatch.setattr("open_clip.model._build_vision_tower", raising)
    with pytest.raises(InputError, match="their slip") as caught:
        load_backbone(name)
    one_line(caught.value)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    command = [
        "train",
        "--subject",
        str(make_folder(tmp_path)),
        "--backbone",
        name,
        "--steps",
        "1",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(command) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert "their slip" in said[-1] and not any("Traceback" in line for line in said)


# ---------------------------------------------------------------- readers


@pytest.mark.parametrize("reader", PARSERS)
def test_every_reader_is_given_every_other_kind_of_file(reader, tmp_path):
    """A sound file of another kind is refused in one line, or read where the kinds are near (two sorts of JSON, of tables)."""
    for kind in PARSERS:
        if kind == reader:
            continue
        for data in fuzzing.sound(kind):
            try:
                with fuzzing.quiet():
                    PARSERS[reader].parse(data, tmp_path)
            except InputError as error:
                assert "\n" not in str(error) and str(error).strip(), kind
            except AssertionError:
                raise
            except Exception as error:
                raise AssertionError(f"{reader} given {kind}: {type(error).__name__}: {error}") from error
