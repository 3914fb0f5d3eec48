"""Weights of networks: where they are published, whether they are here, fetching them, reading files without running code."""

import hashlib
import os
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from factortopy.errors import InputError, Stopped
from factortopy.storage.home import home

PROBE_SECONDS = 2.0  # of the hub, which is asked twice
SERVER_SECONDS = 3.0
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar", ".ckpt")
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model", "teacher")
PREFIXES = ("module.", "_orig_mod.")  # of parallel training, of compiled networks
SAFE = "model.safetensors"
NOT_WHOLE = "it is no whole PyTorch file"
ELSE = "or use demo-vit"


# ---------------------------------------------------------------- where they are published


@dataclass(frozen=True)
class Hub:
    """A repository of the Hugging Face hub.

    repo : "owner/name"
    files : names to look for, the first that there is counts; with ``every`` all of them are needed
    """

    repo: str
    files: tuple = (SAFE, "pytorch_model.bin")
    every: bool = False

    @property
    def where(self):
        return f"huggingface.co/{self.repo}"

    @property
    def by_hand(self):
        """What to do without a connection."""
        if self.every:
            return f"copy {self.repo} (its folders) here from another machine and give that folder as weights, {ELSE}"
        return f"download {self.files[0]} of {self.repo} elsewhere and give its path as weights, {ELSE}"

    def find(self):
        """The file in the hub's cache on this machine (the folder when every file is needed), or None."""
        import huggingface_hub as hub

        paths = [hub.try_to_load_from_cache(self.repo, file) for file in self.files]
        paths = [Path(path) if isinstance(path, str) else None for path in paths]
        if self.every:
            return paths[0].parents[self.files[0].count("/")] if all(paths) else None
        return next((path for path in paths if path), None)

    def fetch(self, what, on_progress=None):
        """Path as ``find`` gives it, downloaded first where it is not here.

        what : str, the network, for messages
        on_progress : callable, optional; gets (bytes done, bytes in all), returning False stops (``Stopped``)
        """
        import huggingface_hub as hub
        import huggingface_hub.errors

        cached = self.find()
        if cached:
            return cached
        reachable(self, what)
        bar = _bar(on_progress) if on_progress else None
        try:
            for file in self.files:
                try:
                    hub.hf_hub_download(self.repo, file, tqdm_class=bar)
                except hub.errors.EntryNotFoundError:
                    if self.every or file == self.files[-1]:
                        raise
                    continue
                if not self.every:
                    break
        except Stopped:
            raise
        except Exception as error:  # every failure of the network ends here, whatever library raised it
            raise no_answer(self, what, error) from None
        return self.find()


@dataclass(frozen=True)
class Url:
    """A file on a web server; the part of its name after the last hyphen may be the start of its SHA-256."""

    url: str

    @property
    def where(self):
        return self.url

    @property
    def file(self):
        return self.url.rsplit("/", 1)[1]

    @property
    def by_hand(self):
        return f"download {self.url} elsewhere and give its path as weights, {ELSE}"

    def find(self):
        """The file on this machine, fetched by us or by torch.hub, or None."""
        caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
        torch_home = Path(os.environ.get("TORCH_HOME", f"{caches}/torch")).expanduser()
        places = (home() / "weights" / self.file, torch_home / "hub" / "checkpoints" / self.file)
        return next((path for path in places if path.is_file()), None)

    def fetch(self, what, on_progress=None):
        """Path of the file; see ``Hub.fetch``. What an interrupted download left is gone on with."""
        cached = self.find()
        if cached:
            return cached
        target = home() / "weights" / self.file
        target.parent.mkdir(exist_ok=True)
        part = target.with_name(target.name + ".part")
        try:
            self._download(part, what, on_progress)
        except (Stopped, InputError):
            raise
        except Exception as error:
            raise no_answer(self, what, error) from None
        wanted = re.search(r"-([0-9a-f]{8})\.", self.file)
        if wanted:
            with open(part, "rb") as file:
                sha = hashlib.file_digest(file, "sha256").hexdigest()
            if not sha.startswith(wanted[1]):
                part.unlink()
                raise InputError(
                    f"weights of {what}: expected a file whose SHA-256 starts with {wanted[1]} at {self.url}, found "
                    f"{sha[:8]}; fetch it again, or {self.by_hand}"
                )
        part.replace(target)
        return target

    def _download(self, part, what, on_progress):
        offset = part.stat().st_size if part.exists() else 0
        request = urllib.request.Request(self.url, headers={"Range": f"bytes={offset}-"} if offset else {})
        try:
            answer = urllib.request.urlopen(request, timeout=SERVER_SECONDS)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # it was whole already, or another file lies there now
                part.unlink()
            raise
        with answer:
            if "text/html" in answer.headers.get("Content-Type", ""):
                raise InputError(
                    f"weights of {what}: expected a file at {self.url}, found a web page (a proxy's or a log-in); "
                    f"look at HTTPS_PROXY, or {self.by_hand}"
                )
            offset = offset if answer.status == 206 else 0
            total = offset + int(answer.headers.get("Content-Length") or 0)
            done = offset
            with open(part, "ab" if offset else "wb") as file:
                while block := answer.read(1 << 20):
                    file.write(block)
                    done += len(block)
                    if on_progress is not None and on_progress(done, total) is False:
                        raise Stopped
        if total > offset and done != total:
            raise ConnectionError(f"it broke off after {done / 1e6:.0f} of {total / 1e6:.0f} MB; they are kept")


def _bar(on_progress):
    """A class that the hub takes for a progress bar."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args, **kwargs):
            kwargs["disable"] = False
            kwargs["file"] = _Nowhere()
            kwargs.pop("name", None)
            super().__init__(*args, **kwargs)

        def update(self, n=1):
            super().update(n)
            if on_progress(int(self.n), int(self.total or 0)) is False:
                raise Stopped

    return Bar


class _Nowhere:
    def write(self, text):
        pass

    def flush(self):
        pass


def reachable(hub_source, what):
    """Raise within seconds when a hub's file is neither cached nor fetchable; the hub's own retries take a minute."""
    import huggingface_hub as hub
    import huggingface_hub.constants
    import huggingface_hub.errors  # (parts of the hub are there once they are imported)

    if hub_source.find():
        return
    by_hand, repo = hub_source.by_hand, hub_source.repo
    try:
        if hub.constants.HF_HUB_OFFLINE:
            raise ConnectionError("offline mode is on")
        hub.get_hf_file_metadata(hub.hf_hub_url(repo, hub_source.files[0]), timeout=PROBE_SECONDS)
    except hub.errors.EntryNotFoundError:
        return  # an older file name: the hub answers, so it will be found
    except hub.errors.GatedRepoError:  # before its parent, RepositoryNotFoundError
        raise InputError(
            f"weights of {what}: expected to fetch them from the model hub, which gives {repo} only to those who "
            f"accepted its terms; accept them on its page and log in (hf auth login), or {by_hand}"
        ) from None
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError):
        raise InputError(
            f"weights of {what}: expected to fetch them from the model hub, which has no {repo} (or hides it); "
            f"choose other weights, or {by_hand}"
        ) from None
    except Exception as error:  # every failure of the network ends here, whatever library raised it
        raise no_answer(hub_source, what, error) from None


def no_answer(source, what, error):
    """InputError for a server that did not answer."""
    server = "the model hub" if isinstance(source, Hub) else source.url.split("/")[2]
    return InputError(
        f"weights of {what}: expected to fetch them from {server}, which did not answer "
        f"({first_words(error, 120)}); connect to the internet, or {source.by_hand}"
    )


def first_words(error, most=300):
    """An error of another library in one line."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= most else words[:most] + "…"


# ---------------------------------------------------------------- reading files


def weights_file(path, what):
    """The one weights file that a path means: itself, or the one in a folder.

    Raises
    ------
    InputError
        Nothing there, a folder with none or several.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
        named = [file for file in files if file.name in (SAFE, "open_clip_model.safetensors")]
        safe = [file for file in files if file.suffix == ".safetensors"]
        for choice in (named, safe, files):
            if len(choice) == 1:
                return choice[0]
        names = ", ".join(file.name for file in files[:5]) or "none"
        raise InputError(
            f"{path}: expected one weights file of {what} in this folder, found {names}; give the file itself"
        )
    if not path.is_file():
        raise InputError(f"{path}: expected a weights file of {what}, found none; check the path")
    return path


def opened(path, what):
    """(path of the one weights file, True when it is to be read as PyTorch's and not as safetensors), by how it begins."""
    path = weights_file(path, what)
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as error:
        raise unreadable(path, what, error.strerror or error) from None
    if head.startswith(b"version https://git-lfs"):
        raise InputError(f"{path}: expected weights of {what}, found a Git-LFS pointer; run: git lfs pull")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise unreadable(path, what, "it is a web page")
    pickled = head.startswith(b"PK") or head[:1] == b"\x80" or path.suffix not in (".safetensors", "")
    return path, pickled and path.suffix != ".safetensors"


def unreadable(path, what, reason):
    """InputError for a file that holds no weights that can be read."""
    return InputError(
        f"{path}: expected weights of {what} as .safetensors, found a file that cannot be read ({reason}); "
        "copy or download it again"
    )


def read_weights(path, what):
    """{key: tensor} of a .safetensors or PyTorch file; a pickle's code is not run.

    Training checkpoints are unwrapped (``state_dict``, ``model`` and the like, "module." before each key).

    Raises
    ------
    InputError
        Missing, cut, a Git-LFS pointer, a web page, a pickle that holds more than tensors, no tensors at all.
    """
    import torch
    from safetensors.torch import load_file

    path, pickled = opened(path, what)
    try:
        content = torch.load(path, "cpu", weights_only=True) if pickled else load_file(path)
    except Exception as error:  # safetensors, pickle and zip raise many classes for one cause
        reason = first_words(error, 120)
        if "Unsupported" in str(error):
            reason = "a pickle that holds more than tensors; nothing in it was run"
        elif "weights_only" in str(error):  # torch says how to run what is in it: that is not passed on
            reason = NOT_WHOLE
        raise unreadable(path, what, reason) from None
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    tensors = {str(k): v for k, v in content.items() if torch.is_tensor(v)} if isinstance(content, dict) else {}
    if not tensors:
        raise InputError(f"{path}: expected weights of {what}, found no tensors in it; give the file of this network")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors


def fit_weights(module, tensors, label, what):
    """Load tensors into a module, every one of them and no other.

    Raises
    ------
    InputError
        Naming the first five keys that are missing, unknown or of another shape, and what is not finite.
    """
    wanted = module.state_dict()
    absent = [key for key in wanted if key not in tensors]
    strange = [key for key in tensors if key not in wanted]
    misshapen = [
        f"{key} is {tuple(tensors[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted if key in tensors and tensors[key].shape != wanted[key].shape
    ]  # fmt: skip
    integers = [  # of a quantised network: they would be taken for weights
        f"{key} is {tensors[key].dtype}"
        for key in wanted if key in tensors and wanted[key].is_floating_point() > tensors[key].is_floating_point()
    ]  # fmt: skip
    kinds = {"missing": absent, "unknown": strange, "of another shape": misshapen, "of another kind": integers}
    problems = [
        f"{len(keys)} {word} ({', '.join(keys[:5])}{', …' if len(keys) > 5 else ''})"
        for word, keys in kinds.items()
        if keys
    ]
    if problems:
        raise InputError(
            f"{label}: expected the {len(wanted)} tensors that fit {what}, found {len(tensors)}, {'; '.join(problems)}; "
            "use the file of this network"
        )
    module.load_state_dict(tensors)
    finite(module, label, what)


def finite(module, label, what):
    """InputError naming the first tensor of a module that holds infinity or NaN."""
    import torch

    for key, tensor in module.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{label}: expected finite weights of {what}, found infinity or NaN in {key}; take an earlier file"
            )


def digest(module):
    """Hash of every weight and buffer of a module, names included."""
    import torch

    hashed = hashlib.blake2b(digest_size=10)
    for key, tensor in sorted(module.state_dict().items()):
        hashed.update(key.encode())
        if tensor.ndim == 0:
            hashed.update(str(tensor.item()).encode())
        else:
            hashed.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return hashed.hexdigest()


def seeded(build):
    """``build()`` with seeded random numbers: an untrained network is the same one when it is loaded again."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def console_progress(what):
    """An ``on_progress`` for a terminal: one line, renewed; nothing where nobody looks."""
    import sys

    if not sys.stderr.isatty():
        return None
    start = time.monotonic()

    def on_progress(done, total):
        rate = done / max(time.monotonic() - start, 1e-3)
        left = f", {(total - done) / rate:.0f} s left" if total and rate else ""
        end = "\n" if total and done >= total else ""
        print(f"\r{what}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB{left}   ", end=end, file=sys.stderr, flush=True)

    return on_progress
