"""A real SLURM of one node for the tests, in a temporary folder; skips, and says why, where it cannot be started.

Debian's packages: slurmctld slurmd slurm-client munge. No munge, no accounting: one user, one machine, no network beyond it.
"""

import getpass
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

CONFIGURATION = """\
ClusterName=factortopy-test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobRequeue=1
SlurmctldParameters=preempt_send_user_signal
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
KillWait=10
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def ask(*command, seconds=20):
    """Output of one of SLURM's commands; they hang when the daemon is away, hence the limit."""
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True).stdout.strip()


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.fixture(scope="session")
def slurm_daemons():
    """Path of the configuration of a running one-node SLURM."""
    missing = [name for name in ("slurmctld", "slurmd", "sbatch", "srun") if not shutil.which(name)]
    if missing:
        pytest.skip(f"no SLURM here ({missing[0]} is missing): apt-get install slurmctld slurmd slurm-client munge")
    pytest.importorskip("submitit", reason="submitit is not installed (pip install 'factortopy[cluster]')")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host = socket.gethostname().split(".")[0]
    cpus = len(__import__("os").sched_getaffinity(0))
    file = folder / "slurm.conf"
    ports = _free_ports(2)
    file.write_text(CONFIGURATION.format(folder=folder, host=host, user=getpass.getuser(), ports=ports, cpus=cpus))
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("SLURM_CONF", str(file))
    daemons = []
    try:
        for name in ("slurmctld", "slurmd"):
            with open(folder / f"{name}.out", "wb") as out:
                command = [shutil.which(name), "-D", "-c", "-f", str(file)]
                daemons.append(subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True))
        why = _wait_until_idle(folder, daemons)
        if why:
            pytest.skip(f"SLURM could not be started here: {why}")
        yield file
    finally:
        with suppress(OSError, subprocess.SubprocessError):
            ask("scancel", "--full", f"--user={getpass.getuser()}")
            end = time.monotonic() + 15
            while ask("squeue", "--noheader") and time.monotonic() < end:
                time.sleep(0.2)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()
        monkeypatch.undo()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_idle(folder, daemons, seconds=20):
    """None when the node is ready, else why not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for daemon, name in zip(daemons, ("slurmctld", "slurmd"), strict=True):
            if daemon.poll() is not None:
                return f"{name} ended: " + (folder / f"{name}.out").read_text(errors="replace").strip()[-200:]
        with suppress(OSError, subprocess.SubprocessError):
            if ask("sinfo", "--noheader", "--format=%T", seconds=5) == "idle":
                return None
        time.sleep(0.2)
    return "the node did not come up"
