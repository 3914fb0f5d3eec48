"""What an experiment leaves: maps, numbers, pictures and the settings that made them; saved in a folder and read again."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from factortopy.errors import InputError, unexpected
from factortopy.storage.files import make_folder, read_json, read_tensors, write_atomic, write_json, write_tensors

SCHEMA = 1


@dataclass
class Result:
    """Outcome of one experiment on one encoder.

    Attributes
    ----------
    experiment : str
        Name of the experiment: retinotopy, localizer, lesion, maximize, motion.
    settings : dict
        All settings, JSON values only; with ``experiment`` the protocol that gives this result again.
    maps : {name: (N,) float32}
        One number a vertex of the encoder; NaN where there is none.
    numbers : dict
        Nested JSON values: what tables and sentences are made of.
    arrays : {name: array}
        Everything else that figures need.
    pictures : {name: (n, H, W, 3) uint8}
        Examples of what was shown, or what came out.
    notes : list of str
        Sentences that must stand beside the result wherever it is shown.
    info : dict
        Encoder and subject it was measured on, "simulated" among them; filled in by ``run_protocol``.
    """

    experiment: str
    settings: dict
    maps: dict = field(default_factory=dict)
    numbers: dict = field(default_factory=dict)
    arrays: dict = field(default_factory=dict)
    pictures: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    info: dict = field(default_factory=dict)

    def save(self, folder):
        """Write protocol.json, result.json, result.safetensors and PICTURES/NN.png; result.json last: it says "whole"."""
        folder = make_folder(Path(folder) / "pictures").parent
        (folder / "result.json").unlink(missing_ok=True)
        protocol = {"protocol": SCHEMA, "experiment": self.experiment, "settings": self.settings}
        write_json(folder / "protocol.json", protocol)
        tensors = {f"map.{k}": np.asarray(v, np.float32) for k, v in self.maps.items()}
        tensors |= {f"array.{k}": np.asarray(v) for k, v in self.arrays.items()}
        simulated = str(bool(self.info.get("simulated")))
        write_tensors(folder / "result.safetensors", tensors, {"simulated": simulated})
        for name, stack in self.pictures.items():
            for i, pixels in enumerate(stack):
                write_atomic(folder / "pictures" / f"{_file_name(name)}-{i:03d}.png", _png(pixels))
        content = {
            "schema": SCHEMA, "experiment": self.experiment, "numbers": plain(self.numbers), "notes": self.notes,
            "info": plain(self.info), "maps": list(self.maps), "arrays": list(self.arrays),
            "pictures": {name: len(stack) for name, stack in self.pictures.items()},
        }  # fmt: skip
        write_json(folder / "result.json", content)

    @classmethod
    def load(cls, folder):
        """Read what ``save`` wrote.

        Raises
        ------
        InputError
            When there is no whole result in the folder, or one of a newer version.
        """
        from factortopy.pictures.reading import read_image

        folder = Path(folder)
        content, protocol = read_json(folder / "result.json", "result"), read_json(folder / "protocol.json", "protocol")
        if content.get("schema") != SCHEMA:
            actual = f"{content.get('schema')!r}"
            raise unexpected(f"{folder}/result.json", f"format {SCHEMA}", actual, "update FactorTopy to open it")
        tensors = read_tensors(folder / "result.safetensors", "result")
        try:
            maps = {k: tensors[f"map.{k}"] for k in content["maps"]}
            arrays = {k: tensors[f"array.{k}"] for k in content["arrays"]}
            pictures = {
                name: np.stack([read_image(folder / "pictures" / f"{_file_name(name)}-{i:03d}.png") for i in range(n)])
                for name, n in content["pictures"].items()
                if n
            }
            result = cls(
                content["experiment"], protocol.get("settings", {}), maps, content["numbers"], arrays, pictures, content["notes"],
                content["info"],
            )  # fmt: skip
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            expected = "a result whose files belong together"
            raise unexpected(folder, expected, f"a mismatch ({error})", "copy it again") from None
        kinds = {"experiment": str, "settings": dict, "numbers": dict, "notes": list, "info": dict}
        for name, kind in kinds.items():
            if not isinstance(getattr(result, name), kind):
                raise unexpected(folder, f"{name} of a result", f"{getattr(result, name)!r:.60}", "copy it again")
        return result


def plain(value):
    """JSON values of nested dicts, lists, arrays and numpy numbers; NaN and infinity become None."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.bool_ | bool):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return json.loads(json.dumps(value))


def _file_name(name):
    return re.sub(r"[^\w.-]+", "_", name)[:60]  # letters of four bytes fit, too


def _png(pixels):
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
