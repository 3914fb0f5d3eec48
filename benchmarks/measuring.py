"""What benchmarks share: memory of this process, children with a clean memory, tables, results kept by section."""

import ctypes
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
# Blocks go back to the system as soon as they are freed: what stays is what is used.
HONEST_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}


def memory(*names):
    """Megabytes (10⁶ bytes) of /proc/self/status, such as VmRSS, VmHWM, RssAnon, RssFile (Linux)."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    found = {line[0].rstrip(":"): int(line[1]) * 1024 / 1e6 for line in lines if line[-1] == "kB"}
    return [found[name] for name in names]


def forget_peak():
    """Give freed memory back to the system and let VmHWM start anew from what is in use."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def peak_above(call, device="cpu"):
    """Megabytes that a call needs at its worst above what was in use before."""
    if str(device).startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    forget_peak()
    (before,) = memory("VmRSS")
    call()
    return memory("VmHWM")[0] - before


@contextmanager
def watched(interval=0.02):
    """Yields a dict that holds, after the block, the peaks of this process's memory in MB, all told and by kind."""
    forget_peak()
    peaks, stop = {"anonymous": 0.0, "file-backed": 0.0, "all told": 0.0}, threading.Event()

    def look():
        while not stop.is_set():
            for name, value in zip(("anonymous", "file-backed"), memory("RssAnon", "RssFile"), strict=True):
                peaks[name] = max(peaks[name], value)
            time.sleep(interval)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        stop.set()
        watcher.join()
        (peaks["all told"],) = memory("VmHWM")


def in_child(module, name, arguments, **environment):
    """Result of ``module.name(**arguments)`` run in a fresh Python process with blank allocator settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        code = (
            f"import json, pathlib; from {module} import {name}; "
            f"pathlib.Path({str(answer)!r}).write_text(json.dumps({name}(**json.loads({json.dumps(arguments)!r}))))"
        )
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env={**kept, **environment})
        return json.loads(answer.read_text())


@contextmanager
def own_home():
    """An empty home for a while, beside the real one, so that nothing that was computed before is found again."""
    from factortopy.storage.home import home

    before = os.environ.get("FACTORTOPY_HOME")
    with tempfile.TemporaryDirectory(dir=home()) as folder:
        os.environ["FACTORTOPY_HOME"] = folder
        try:
            yield folder
        finally:
            if before is None:
                del os.environ["FACTORTOPY_HOME"]
            else:
                os.environ["FACTORTOPY_HOME"] = before


def median_time(calls, rounds, warm=2, settle=lambda: None):
    """Median seconds of each call; they take turns, so that a busy machine is slow for all of them."""
    times = [[] for _ in calls]
    for i in range(warm + rounds):
        for call, own in zip(calls, times, strict=True):
            settle()
            begun = time.perf_counter()
            call()
            settle()
            if i >= warm:
                own.append(time.perf_counter() - begun)
    return [float(np.median(own)) for own in times]


def exponent(sizes, times):
    """Slope of log time on log size: 1 for linear growth."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(times, 1e-9)), 1)[0])


def commit():
    """Short name of the commit that is checked out, with "+" where files were changed since; "" outside of git."""
    try:
        say = ("git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*")
        return subprocess.run(say, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine(device):
    """Where, when and with which commit figures were taken."""
    import torch

    cpu = "unknown"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    gpu = torch.cuda.get_device_name() if str(device).startswith("cuda") else None
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"), "commit": commit(), "platform": platform.platform(), "cpu": cpu, "gpu": gpu,
        "cores": len(os.sched_getaffinity(0)), "load before": os.getloadavg()[0], "python": platform.python_version(),
        "torch": torch.__version__, "threads": torch.get_num_threads(),
    }  # fmt: skip


def show(title, table):
    """Print {row: value} or {column: {row: value}}."""
    print(f"\n{title}", flush=True)
    columns = [name for name, value in table.items() if isinstance(value, dict)]
    for name, value in table.items():
        if name not in columns:
            print(f"  {name:<66} {_text(value)}")
    rows = dict.fromkeys(row for name in columns for row in table[name])
    if columns:
        print(f"  {'':<66} " + "  ".join(f"{name:>22}" for name in columns))
    for row in rows:
        print(f"  {row:<66} " + "  ".join(f"{_text(table[name].get(row, '')):>22}" for name in columns))
    sys.stdout.flush()


def _text(value):
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 0.01 else f"{value:,.3f}"
    return "not reached" if value is None else str(value)


def kept(target, section=None):
    """A section of the results file, or all of it; {} where there is none."""
    known = json.loads(Path(target).read_text()) if Path(target).exists() else {}
    return known if section is None else known.get(section, {})


def keep(target, section, values):
    """Put a section into the results file, the others as they are."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    known = kept(target)
    known |= {"note": "all data synthetic: features of random networks, planted responses", section: values}
    target.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
