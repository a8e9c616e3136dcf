"""A SLURM cluster of this one machine, for the tests: ``apt-get install slurm-wlm munge`` gives the programs.

``python -m tests.sweeps.one_slurm`` keeps one until Ctrl-C, and says how another shell uses it. Needs root, as slurmd
does; the machine's own SLURM, where it has one, is left alone: configuration, ports, key and state are of a folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")

# A job of the partition `urgent` preempts those of `main`, which go back into the queue. One that has gone back begins
# again after `cred_expire` seconds.
CONFIG = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=3
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10
"""


def why_not() -> str:
    """Why no cluster can be begun here; empty: it can."""
    missing = [name for name in PROGRAMS if find(name) is None]
    if missing:
        return f"SLURM is not installed ({', '.join(missing)} missing: apt-get install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "slurmd needs root"


def find(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


@contextlib.contextmanager
def begun_slurm(cpus: int = 2) -> Iterator[dict[str, str]]:
    """A cluster of one node; yields the variables that its commands need."""
    folder = Path(tempfile.mkdtemp(prefix="slurm."))
    folder.chmod(0o755)
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(CONFIG.format(host=host, folder=folder, cpus=cpus, ports=_free_ports(2)))
    # No node of a cluster of one asks for more than is there.
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\nConstrainCores=no\n")
    variables = {"SLURM_CONF": str(folder / "slurm.conf")}
    place = f"--key-file={folder}/munge.key --pid-file={folder}/munged.pid --seed-file={folder}/munge.seed"
    munged = f"--foreground --force --socket={folder}/munge.socket --log-file={folder}/munged.log {place}"
    begun = []
    try:
        with (folder / "log").open("w") as log:
            for name, arguments in (("munged", munged.split()), ("slurmctld", ["-D", "-i"]), ("slurmd", ["-D"])):
                environment = {**os.environ, **variables}
                command = [str(find(name)), *arguments]
                begun.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder))
                _wait(lambda: (folder / "munge.socket").exists(), begun, folder)
        _wait(lambda: "idle" in _said(["sinfo", "-h", "-o", "%T"], variables), begun, folder)
        yield variables
    finally:
        _said(["scancel", "--user=root", "--signal=KILL", "--full"], variables)
        for process in reversed(begun):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _said(command: list[str], variables: dict[str, str]) -> str:
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    return done.stdout


def _wait(condition, begun, folder: Path, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        ended = [process.args[0] for process in begun if process.poll() is not None]
        assert not ended, f"{ended}: {(folder / 'log').read_text()[-2000:]}"
        assert time.monotonic() < until, (folder / "log").read_text()[-2000:]
        time.sleep(0.2)


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(reason)
    with begun_slurm() as variables, contextlib.suppress(KeyboardInterrupt):
        print("export", *(f"{name}={value}" for name, value in variables.items()), flush=True)
        while True:
            time.sleep(60)
