"""Where the weights of networks are published, whether they are on this machine, fetching them."""

import hashlib
import os
import re
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from factortopy.errors import InputError, Stopped
from factortopy.storage.home import home
from factortopy.wording import first_words

PROBE_SECONDS = 2.0  # of the hub, which is asked twice
SERVER_SECONDS = 3.0
ELSE = "or use demo-vit"


@dataclass(frozen=True)
class Hub:
    """A repository of the Hugging Face hub.

    repo : "owner/name"
    files : names to look for, the first that there is counts; with ``every`` all of them are needed
    """

    repo: str
    files: tuple = ("model.safetensors", "pytorch_model.bin")
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


def console_progress(what):
    """An ``on_progress`` for a terminal: one line, renewed; nothing where nobody looks."""
    if not sys.stderr.isatty():
        return None
    start = time.monotonic()

    def on_progress(done, total):
        rate = done / max(time.monotonic() - start, 1e-3)
        left = f", {(total - done) / rate:.0f} s left" if total and rate else ""
        end = "\n" if total and done >= total else ""
        print(f"\r{what}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB{left}   ", end=end, file=sys.stderr, flush=True)

    return on_progress
