"""A finished run as one file, to send, drop in and open: ``NAME.factortopy.zip``.

The archive holds the run's own files (docs/formats.md) and ``factortopy.json``, which lists them with size and SHA-256.
Nothing in it runs code when read. What comes from outside is read into a folder that no list shows, loaded there, and
renamed into the run store only when everything fits.
"""

import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

from factortopy.encoder.names import FACTORS
from factortopy.errors import InputError
from factortopy.pictures.archives import read_zip
from factortopy.runs.run import Run
from factortopy.storage.files import read_json, read_tensors, write_atomic, write_json
from factortopy.storage.home import assets_dir, runs_dir
from factortopy.storage.machine import explain_os_error
from factortopy.storage.names import file_stem
from factortopy.storage.records import now
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import safe_label

ENDING = ".factortopy.zip"
FORMAT = 1
LISTING = "factortopy.json"
A_DAY = 86_400  # seconds
NEEDED = ("run.json", "encoder.safetensors")
FILES = (
    *NEEDED, "selectors.safetensors", "scores.safetensors", "maps.safetensors", "history.csv", "gallery.jpg",
    "gallery.safetensors", "slope_refits.safetensors",
)  # fmt: skip
_RESULT = re.compile(
    r"experiments/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,119}/(protocol\.json|result\.json|result\.safetensors|pictures/[A-Za-z0-9_-]{1,80}\.png)"
)
_STAMP = (1980, 1, 1, 0, 0, 0)  # the same run gives the same bytes
_PLACES = ("subject", "weights")  # settings that may hold a path of the sender's machine


def pack_run(run, path, experiments=False):
    """Write a finished run as one file.

    Parameters
    ----------
    run : Run
    path : path
        A file, or a folder, in which it is called ``NAME.factortopy.zip`` ("simulated" in the name when the subject is).
    experiments : bool
        Whether the lab's kept results come along.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        When the run is not finished, lacks a file, or the archive cannot be written.

    Paths of this machine and the training process are left out of run.json; weights from a file keep its name alone.
    """
    status, _ = run.state()
    if status != "finished":
        raise InputError(f"{run.path}: expected a finished run, found one that is {status}; pack it when it is done")
    missing = [name for name in NEEDED if not (run.path / name).is_file()]
    if missing:
        raise InputError(f"{run.path}: expected {missing[0]}, found none; copy the run again or train it again")
    path = Path(path)
    if path.is_dir():
        path /= f"{run.name}{'_simulated' if run.info.get('simulated') else ''}{ENDING}"
    files = {name: (run.path / name).read_bytes() for name in FILES if (run.path / name).is_file()}
    files["run.json"] = json.dumps(_portable(run.info), indent=1).encode()
    if experiments:
        files |= _results(run)
    listing = {
        "format": FORMAT, "name": run.name, "simulated": bool(run.info.get("simulated")),
        "files": {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()},
    }  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {LISTING: json.dumps(listing, indent=1).encode(), **files}.items():
            archive.writestr(zipfile.ZipInfo(name, _STAMP), data, zipfile.ZIP_DEFLATED)
    write_atomic(path, buffer.getvalue())
    return path


def unpack_run(path_or_bytes, name=None):
    """Put a packed run into the run store.

    Parameters
    ----------
    path_or_bytes : path or bytes
    name : str, optional
        What to call the archive in messages.

    Returns
    -------
    Run
        Under the name that it had, or that name with a number when it is taken.

    Raises
    ------
    InputError
        When the archive is damaged or hostile, holds anything but a run, comes from a newer version, or the run cannot be
        loaded. Nothing is left behind.
    """
    is_path = isinstance(path_or_bytes, (str, os.PathLike))
    label = safe_label(name if name is not None else path_or_bytes if is_path else "archive")
    files = _read(path_or_bytes, label)
    stem = _name(files)
    for left in runs_dir().glob(".arriving-*"):  # of a process that was killed; another one may be reading this minute
        if time.time() - left.stat().st_mtime > A_DAY:
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=".arriving-", dir=runs_dir()))  # lists of runs show no such name
    try:
        for member, data in files.items():
            (folder / member).parent.mkdir(parents=True, exist_ok=True)
            (folder / member).write_bytes(data)
        try:
            _check(folder)
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise InputError(f"run: expected files that belong together, found a mismatch ({error})") from None
        folder.chmod(0o755)
        return _settle(folder, stem)
    except InputError as error:
        message = str(error).replace(f"{folder}/", "").replace(str(folder), "the run")
        raise InputError(f"archive {label!r}: {message}; nothing was kept") from None
    except OSError as error:
        raise explain_os_error(error, runs_dir()) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ---------------------------------------------------------------- packing


def _portable(info):
    """run.json without what belongs to this machine alone."""
    out = {key: value for key, value in info.items() if key not in ("holder", "host", "pid")}
    for part in (out, out.get("settings")):
        for key in _PLACES:
            if isinstance(part, dict) and isinstance(part.get(key), str) and os.path.isabs(part[key]):
                part[key] = Path(part[key]).name
    return out


def _results(run):
    """{member: bytes} of the kept results that are whole."""
    from factortopy.experiments.protocol import folder_of

    folder = folder_of(run)
    out = {}
    for one in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not (one / "result.json").is_file():
            continue
        for file in sorted(p for p in one.rglob("*") if p.is_file()):
            member = f"experiments/{one.name}/{file.relative_to(one).as_posix()}"
            if _RESULT.fullmatch(member):
                out[member] = file.read_bytes()
    return out


# ---------------------------------------------------------------- unpacking


def _read(path_or_bytes, label):
    """{member: bytes}, every one a file that a run has, as its listing says."""
    files = {}
    for member, data in read_zip(path_or_bytes, label):
        if member != LISTING and member not in FILES and not _RESULT.fullmatch(member):
            raise InputError(
                f"archive {label!r}: expected the files of a run, found {safe_label(member)!r}; choose a file whose name "
                f"ends in {ENDING}"
            )
        if member in files:
            raise InputError(f"archive {label!r}: expected each file once, found {member!r} twice; nothing was kept")
        files[member] = data
    for member in (LISTING, *NEEDED):
        if member not in files:
            raise InputError(
                f"archive {label!r}: expected a packed run, found no {member}; choose a file whose name ends in {ENDING}"
            )
    listing = _object(files.pop(LISTING), f"archive {label!r}: {LISTING}")
    if listing.get("format") != FORMAT:
        raise InputError(
            f"archive {label!r}: expected format {FORMAT}, found {str(listing.get('format'))[:20]!r}; update FactorTopy to open it"
        )
    listed = listing.get("files")
    if not isinstance(listed, dict) or set(listed) != set(files):
        raise InputError(
            f"archive {label!r}: expected the files that its listing names, found others; ask for it again"
        )
    for member, data in files.items():
        entry = listed[member] if isinstance(listed[member], dict) else {}
        if entry.get("sha256") != hashlib.sha256(data).hexdigest():
            raise InputError(
                f"archive {label!r}: expected {member} as it was packed, found a changed one; ask for it again"
            )
    return files


def _object(data, label):
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{label}: expected JSON, found {error}; ask for it again") from None
    if not isinstance(value, dict):
        raise InputError(f"{label}: expected a JSON object, found {type(value).__name__}; ask for it again")
    return value


def _name(files):
    """A run's name from what the archive says; letters that no name has become "-"."""
    name = _object(files["run.json"], "run.json").get("name")
    return file_stem(name if isinstance(name, str) else "", otherwise="run")


def _check(folder):
    """Load everything that the app will: InputError when anything does not fit."""
    from factortopy.analysis.gallery import read_gallery
    from factortopy.encoder.encoder import Encoder
    from factortopy.experiments.result import Result

    info = Run(folder).info
    for key in ("subject", "backbone", "recipe"):
        if not isinstance(info.get(key), str):
            raise InputError(f"run.json: expected the {key}'s name, found {str(info.get(key))[:40]!r}")
    rows, columns = info.get("scores") or [], {"roi", "vertices", "score"}
    if not isinstance(info.get("settings") or {}, dict) or not all(
        isinstance(row, dict) and columns <= set(row) for row in rows
    ):
        raise InputError("run.json: expected settings and a table of scores, found other values")
    if info.get("density") not in N_VERTICES:
        raise InputError(
            f"run.json: expected a density of {', '.join(N_VERTICES)}, found {str(info.get('density'))[:20]!r}"
        )
    encoder = Encoder.load(folder)
    n = encoder.n_vertices
    parts = {**encoder.rois, **encoder.scores, **encoder.maps}
    if encoder.has_selectors:
        selectors = encoder.selectors()
        parts |= {name: getattr(selectors, name) for name in (*FACTORS, "channel")}
    for part, values in parts.items():
        if len(values) != n:
            raise InputError(f"run: expected {n} vertices in {part[:40]!r}, found {len(values)}")
    learnt = {
        f"encoder.{k}": v for k, v in read_tensors(folder / "encoder.safetensors").items() if k != "noise_ceiling"
    }
    learnt |= {f"selectors.{name}": parts[name] for name in (*FACTORS, "channel") if name in parts}
    broken = [name for name, values in learnt.items() if not np.isfinite(values).all()]
    if broken:
        raise InputError(f"run: expected finite numbers, found NaN or infinite ones in {broken[0][:60]}")
    gallery = read_gallery(folder)
    if gallery is not None and gallery.predicted.shape[1] != n:
        raise InputError(f"gallery.safetensors: expected responses of {n} vertices, found {gallery.predicted.shape[1]}")
    refits = (
        read_tensors(folder / "slope_refits.safetensors") if (folder / "slope_refits.safetensors").is_file() else {}
    )
    for name, means in refits.items():
        if means.ndim != 2 or means.shape[1] != n or not np.isfinite(means).all():
            raise InputError(
                f"slope_refits.safetensors: expected mean layers of {n} vertices in {name[:40]!r}, found other values"
            )
    for one in sorted((folder / "experiments").iterdir()) if (folder / "experiments").is_dir() else ():
        result = Result.load(one)
        if any(len(values) != n for values in result.maps.values()):
            raise InputError(f"experiments/{one.name}: expected maps of {n} vertices, found others")


def _settle(folder, stem):
    """Rename the checked folder to a free name in the run store."""
    taken = {p.name for store in (runs_dir(), assets_dir() / "runs") if store.is_dir() for p in store.iterdir()}
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}-{count}"
    info = read_json(folder / "run.json")
    write_json(folder / "run.json", {**_portable(info), "name": name, "arrived": now()})
    os.rename(folder, runs_dir() / name)
    return Run(runs_dir() / name)
