"""The settings of a training: one row each, which command line, checks, names, sweeps and docs read."""

from pathlib import Path

import pytest

from factortopy.cli.main import parser
from factortopy.errors import InputError
from factortopy.runs.names import families, in_word
from factortopy.runs.run import Run, check_description
from factortopy.runs.settings import DEFAULTS, EXTRACTION, SETTING, SETTINGS, Setting, check_settings
from factortopy.sweeps.axes import settings_of

DOCS = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
ASKED = {"subject": "demo-1", "backbone": "demo-vit"}
WRONG = {str: {"wrong": 1}, int: "many", bool: "yes", list: "space"}


def table():
    """The rows as docs/settings.md shows them."""
    lines = ["| name | command line | default | meaning |", "|---|---|---|---|"]
    for row in SETTINGS:
        default = "" if row.default is None else ", ".join(row.default) if row.kind is list else str(row.default)
        flag = f"`{row.flag}`" if row.flag else ""
        lines.append(f"| `{row.name}` | {flag} | {default} | {row.help} |")
    return "\n".join(lines)


def test_docs_list_every_setting():
    assert table() in DOCS.read_text(encoding="utf-8"), f"put this into docs/settings.md:\n{table()}"


def test_the_command_line_takes_each_that_has_a_flag():
    words = {"recipe": "paper", "select": "layer,scale", "density": "10k", "precision": "bfloat16"}
    for row in SETTINGS:
        if row.flag:
            value = words.get(row.name, "12" if row.kind is int else "x")
            options = parser().parse_args(["train", row.flag, *([] if row.kind is bool else [value])])
            expected = {int: 12, bool: not row.default, list: value.split(",")}.get(row.kind, value)
            assert getattr(options, row.name) == expected
            assert all(getattr(options, other.name) is None for other in SETTINGS if other.flag and other != row)


@pytest.mark.parametrize("row", [row for row in SETTINGS if row.name not in ASKED], ids=lambda row: row.name)
def test_each_is_checked(row):
    full = check_settings(ASKED)
    assert full[row.name] == DEFAULTS[row.name]
    wrong = [WRONG[row.kind]] + ([] if row.least is None else [row.least - 1, True, [row.least - 1], []])
    for value in wrong:
        with pytest.raises(InputError, match=f"^{row.name}: expected"):
            check_settings(ASKED | {row.name: value})


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_a_file_holds_the_kinds_that_the_rows_say(row):
    check_description({"settings": DEFAULTS}, "run.json")
    with pytest.raises(InputError, match=f"settings, {row.name}"):
        check_description({"settings": {row.name: WRONG[row.kind]}}, "run.json")


def test_each_can_be_varied_and_named():
    values = {
        "select": [["layer"], ["space"]],
        "layers": [[0], [1]],
        "warm": [["a"], ["b"]],
        "topology": [True, False],
        "channel": [True, False],
        "recipe": ["fast", "paper"],
        "precision": ["float32", "bfloat16"],
    }
    for name in set(SETTING) - {*ASKED, *values, "model", "density"}:
        values[name] = [12, 13] if SETTING[name].kind is int else ["a", "b"]
    for name, two in values.items():
        assert len(settings_of({key: [value] for key, value in ASKED.items()} | {name: two})) == 2
        assert len({in_word(name, value) for value in two}) == 2


def test_runs_to_start_from_are_names_or_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FACTORTOPY_HOME", str(tmp_path))
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    chosen = check_settings(ASKED | {"warm": ["mine", str(tmp_path / "else")]})
    assert chosen["warm"] == [str(tmp_path / "runs" / "mine"), str(tmp_path / "else")]
    assert check_settings(chosen) == chosen  # also when they are gone: who loads them says so
    for wrong in ([], [3], "mine", [""]):
        with pytest.raises(InputError, match="^warm: expected names or folders of finished runs"):
            check_settings(ASKED | {"warm": wrong})


def test_a_setting_may_be_a_number():
    row = Setting("weight", float, 0.1, least=0)
    for value in (0, 0.5, 3):
        row.check(value)
        assert isinstance(value, row.json_types)
    for value in (-0.1, "many", True, float("nan"), float("inf"), [0.5], None):
        with pytest.raises(InputError, match="^weight: expected a number from 0 up"):
            row.check(value)


def test_runs_share_features_by_these():
    assert EXTRACTION == ("subject", "subject_id", "backbone", "weights", "pictures", "pca", "precision")


def test_what_is_accepted_is_written_so_that_it_can_be_read(tmp_path):
    chosen = check_settings(ASKED | {"topology": 0, "subject_id": 5})
    assert chosen["topology"] is False and chosen["subject_id"] == "5"
    for value in ("0", "no", 2):
        with pytest.raises(InputError, match="^topology: expected true or false"):
            check_settings(ASKED | {"topology": value})
    run = Run.create(tmp_path / "run", chosen)
    assert run.settings == chosen and run.status == "queued"


def test_a_run_of_the_version_before_may_hold_numbers():
    check_description({"settings": {"topology": 0, "subject_id": 5, "seed": None, "space_samples": None}}, "run.json")


def test_fits_that_start_from_another_are_no_seeds_of_a_network():
    infos = {str(k): {"seed": k, "subject": "one", "settings": ASKED | {"seed": k}} for k in range(3)}
    assert families(infos, "seed") == [["0", "1", "2"]]
    for info in infos.values():
        info["settings"]["warm"] = ["a"]
    assert families(infos, "seed") == []
