"""Set up and start FactorTopy: `python3 run.py` opens the app, `python3 run.py test` runs the tests.

Needs nothing but Python 3.11 or newer: it makes a virtual environment in .venv, installs what requirements.txt pins
(about 7 GB with GPU support, once), and starts. `--cpu` installs PyTorch without GPU support (about 2 GB).
"""

import argparse
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from pathlib import Path

from factortopy.storage.allowed_folders import LISTED, beyond_this_machine
from factortopy.storage.machine import child_environment

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
HERE = "127.0.0.1"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("app", "test", "setup"), default="app")
    parser.add_argument("--cpu", action="store_true", help="PyTorch without GPU support (smaller)")
    parser.add_argument("--port", type=int, help="port of the app (default: the first free one from 8501)")
    parser.add_argument("--address", help="where the app listens (default: this machine alone, 127.0.0.1)")
    parser.add_argument(
        "--share", action="store_true", help="confirm that other machines may reach it; read docs/security.md before"
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    options, rest = parser.parse_known_args()
    if sys.version_info < (3, 11):  # noqa: UP036  (this file must be readable for older ones to say so)
        sys.exit(
            f"FactorTopy needs Python 3.11 or newer; this is {sys.version.split()[0]}. Start it with a newer python3."
        )
    if options.what == "app":
        refuse_unguarded(options, rest)
    try:
        set_up("requirements-dev.txt" if options.what == "test" else "requirements.txt", options.cpu)
        if options.what == "test":
            find_browser()
            # Two files at a time: most tests wait for processes and browsers. Each then gets one thread.
            os.environ.setdefault("OMP_NUM_THREADS", "1")
            return run(PYTHON, "-m", "pytest", "-n", "2", "--dist", "loadfile", *rest)
        if options.what == "app":
            return start_app(options, rest)
    except subprocess.CalledProcessError as error:
        sys.exit(f"FactorTopy could not be set up: `{' '.join(map(str, error.cmd))}` ended with {error.returncode}. "
                 "Its own message is above; start the same command again to go on.")  # fmt: skip
    except KeyboardInterrupt:
        return 130
    return 0


def run(*command, check=False):
    return subprocess.run([str(c) for c in command], cwd=ROOT, check=check, env=child_environment()).returncode


def set_up(requirements, cpu):
    """Make .venv and install; skipped when it was done with the same files before."""
    stamp = VENV / f"installed-{requirements}"
    files = [ROOT / name for name in ("requirements.txt", "requirements-dev.txt", "pyproject.toml")]
    wanted = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()
    # What the tests need holds all that the app needs.
    if any(s.exists() and s.read_text() == wanted for s in (stamp, VENV / "installed-requirements-dev.txt")):
        return
    print(f"Setting up FactorTopy in {VENV.name} (once; a few minutes) …", flush=True)
    if not PYTHON.exists():
        shutil.rmtree(VENV, ignore_errors=True)
        try:
            run(sys.executable, "-m", "venv", VENV, check=True)
        except subprocess.CalledProcessError:
            sys.exit("FactorTopy needs Python's venv module; on Debian or Ubuntu: apt install python3-venv")
    if cpu:
        run(PYTHON, "-m", "pip", "install", "-q", "uv", check=True)
        run(PYTHON, "-m", "uv", "pip", "install", "-q", "--torch-backend", "cpu", "-r", requirements, check=True)
    else:
        run(PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", requirements, check=True)
    # The browser component is served by Streamlit from the installed package.
    run(PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "-e", ROOT, check=True)
    stamp.write_text(wanted)


def find_browser():
    """A browser for the browser tests: an installed one, on Debian as root Debian's; else those tests are skipped."""
    if os.environ.get("CHROME") or any(shutil.which(name) for name in BROWSERS):
        return
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing Chromium for the browser tests …", flush=True)
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core")


def listening(options, rest):
    """Where the app will listen: what was asked here, or of Streamlit in its own words; the last one counts."""
    asked = [os.environ.get("STREAMLIT_SERVER_ADDRESS", HERE)]
    for word, following in zip(rest, [*rest[1:], ""]):
        if word == "--server.address":
            asked.append(following)
        elif word.startswith("--server.address="):
            asked.append(word.partition("=")[2])
    return options.address if options.address is not None else asked[-1]


def refuse_unguarded(options, rest):
    """Say what to do before the app listens to other machines; go on only when that is confirmed."""
    address = listening(options, rest)
    if not beyond_this_machine(address):
        return
    if not options.share:
        print(
            f"FactorTopy was asked to listen on {address or 'every address'}, where other machines can reach it. It asks for no "
            "password: whoever reaches it can train, delete runs and read the folders that you list. Leave the address as it is "
            "and put a proxy with a password in front (docs/security.md has one to copy); or add --share to go on without.",
            file=sys.stderr,
        )
        sys.exit(2)
    os.environ.setdefault(LISTED, "")
    named = os.environ[LISTED] or "none"
    print(
        f"FactorTopy listens on {address or 'every address'} without a password. Folders that visitors may open ({LISTED}): {named}."
    )


def start_app(options, rest):
    port = options.port or free_port()
    listens = listening(options, rest)
    everywhere = listens in ("", "0.0.0.0", "::", HERE)
    address = f"http://{'localhost' if everywhere else f'[{listens}]' if ':' in listens else listens}:{port}"
    where = [] if options.address is None else ["--server.address", options.address]
    command = [PYTHON, "-m", "streamlit", "run", ROOT / "serve.py", "--server.port", port, *rest, *where]
    process = subprocess.Popen([str(c) for c in command], cwd=ROOT, env=child_environment())
    try:
        if wait_until_up(f"{address}/_stcore/health", process):
            print(f"FactorTopy is at {address} (Ctrl+C ends it; trainings go on).", flush=True)
            if not options.no_browser:
                webbrowser.open(address)
        return process.wait()
    finally:
        process.terminate()


def free_port(first=8501, tries=50):
    for port in range(first, first + tries):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) != 0:
                return port
    sys.exit(f"No free port between {first} and {first + tries}; name one with --port.")


def wait_until_up(url, process, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return True
        except OSError:
            time.sleep(0.3)
    return False


if __name__ == "__main__":
    sys.exit(main())
