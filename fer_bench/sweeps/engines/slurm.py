"""Jobs in the queue of a SLURM cluster: all that can begin at a time are one array, submitted through submitit.

The queue outlives the driver. Each array has a name of its own, which SLURM keeps as the comment of its tasks, and a
folder of that name beside the jobs, which says whose tasks they are: by both, the next driver finds what an earlier one
has submitted, however that one ended. How far a task is ``squeue`` says, for not every cluster keeps accounts.

A task that is preempted, or reaches its limit of time, goes back into the queue and is carried out again; its training
goes on from its last epoch. The nodes must see the driver's folder, as clusters do.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fer_bench.atomic import write_atomically
from fer_bench.counting import counted
from fer_bench.errors import HardwareError, SpecError
from fer_bench.sweeps.engines.processes import Process
from fer_bench.sweeps.engines.seam import RESULT, Ended, Job

ARRAYS, _KEYS, _HOW = "slurm", "keys.json", "how.txt"
# SLURM's own limit is 1001 unless its administrator has raised it.
_LARGEST_ARRAY = 1000
# So often may a job reach its limit of time.
_MOST_TIMEOUTS = 100
_LOOK_SECONDS = 2.0
# After a task has gone its files may take a while to be seen here.
_SETTLE_SECONDS = 15.0
_OVER = {"COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE"}
_LOST = {"NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED", ""}
_CANCELLED = "CANCELLED"
_TIME = re.compile(
    r"(?P<days>\d+)-(?P<day_hours>\d+)(:(?P<day_minutes>\d+)(:(?P<day_seconds>\d+))?)?"
    r"|((?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)|(?P<only>\d+)"
)
# Name of an array, and number of a task in it.
Place = tuple[str, int]


@dataclass
class Queued:
    """What SLURM says of a task.

    Args:
        id: of the task.
        state: as SLURM calls it; empty: it knows nothing of it.
        node: where it is, if it runs.
    """

    id: str = ""
    state: str = ""
    node: str = ""

    @property
    def waits_or_runs(self) -> bool:
        """Whether it has not ended."""
        return self.state not in _OVER | _LOST | {_CANCELLED}


class Carried:
    """What a task does on its node: starts the job's process, and waits for it. submitit calls it, and asks it for its
    successor when the task has to leave its node.

    Args:
        module: of the job.
        folder: likewise.
        environment: likewise.
        cwd: likewise.
    """

    def __init__(self, module: str, folder: str, environment: Mapping[str, str], cwd: str) -> None:
        self._made_of = (module, folder, dict(environment), cwd)
        self._process: Process | None = None

    def __call__(self) -> None:
        """Until the process has ended."""
        module, folder, environment, cwd = self._made_of
        # SLURM has started one task; ranks beside it are Lightning's own.
        alone = {"SLURM_JOB_NAME": "interactive"}
        self._process = Process(module, Path(folder), {**environment, **alone}, cwd)
        while not self._process.ended():
            time.sleep(0.1)
        write_atomically(Path(folder, _HOW), self._process.text.encode())

    def checkpoint(self) -> Any:
        """End the process, and give what is to be queued in its place."""
        import submitit

        if self._process is not None:
            self._process.stop()
        # That it was stopped is no result.
        Path(self._made_of[1], RESULT).unlink(missing_ok=True)
        return submitit.helpers.DelayedSubmission(Carried(*self._made_of))


@dataclass
class _Task:
    job: Job
    place: Place
    said: Queued = field(default_factory=Queued)
    gone: float | None = None


class SlurmEngine:
    """Hands jobs to SLURM.

    Args:
        limits: what ``sbatch`` is told of each task, by submitit's names: ``timeout_min``, ``slurm_partition``, ...
        gpu: whether tasks get GPUs.
        cpus: cores, and threads, of a job for each of its devices.
        look_seconds: time between two looks at the queue.
    """

    name, queues = "slurm", True

    def __init__(
        self, limits: Mapping[str, Any], *, gpu: bool = False, cpus: int = 1, look_seconds: float = _LOOK_SECONDS
    ) -> None:
        self.gpu, self._limits, self._cpus, self._look_seconds = gpu, dict(limits), cpus, look_seconds
        self._waiting: list[Job] = []
        self._tasks: dict[str, _Task] = {}
        self._earlier: dict[str, list[Place]] | None = None
        self._rows: dict[Place, Queued] = {}
        self._looked = float("-inf")

    def slots(self) -> int:
        """As many as run: what the cluster has for others is unknown."""
        return max(1, len(self.running()))

    def adopt(self, job: Job) -> bool:
        """Take over a task that an earlier driver has submitted."""
        if self._earlier is None:
            self._rows = self._look()
            self._earlier = _submitted(job.folder.parent / ARRAYS, {name for name, _ in self._rows})
        for place in self._earlier.pop(job.key, []):
            said = self._rows.get(place, Queued())
            if said.waits_or_runs or (said.state in _OVER and (job.folder / RESULT).is_file()):
                self._tasks[job.key] = _Task(job, place, said)
                return True
        return False

    def room(self, job: Job) -> bool:
        """Always: whether a node is large enough SLURM says."""
        return True

    def start(self, job: Job) -> None:
        """Put it into the next array."""
        (job.folder / _HOW).unlink(missing_ok=True)
        self._waiting.append(job)

    def running(self) -> dict[str, str]:
        """What SLURM has on a node."""
        return {key: task.said.node for key, task in self._tasks.items() if task.said.node and task.said.waits_or_runs}

    def poll(self) -> Iterator[Ended]:
        """Submit what waits, and name what has ended."""
        for kind in {(job.devices, job.alone) for job in self._waiting}:
            same = [job for job in self._waiting if (job.devices, job.alone) == kind]
            for start in range(0, len(same), _LARGEST_ARRAY):
                self._submit(same[start : start + _LARGEST_ARRAY])
        self._waiting.clear()
        if not self._tasks or time.monotonic() - self._looked < self._look_seconds:
            return
        self._looked = time.monotonic()
        # A controller that is restarted answers later.
        with contextlib.suppress(HardwareError):
            self._rows = self._look()
        for key, task in list(self._tasks.items()):
            task.said = self._rows.get(task.place, Queued())
            if task.said.waits_or_runs:
                task.gone = None
            elif (ended := self._ended(task)) is not None:
                del self._tasks[key]
                yield ended

    def _ended(self, task: _Task) -> Ended | None:
        """How a task has ended; None while its files may still come."""
        folder, said = task.job.folder, task.said
        how: Literal["ended", "lost", "cancelled"] = "ended"
        if not (folder / RESULT).is_file() and not (folder / _HOW).is_file():
            task.gone = task.gone or time.monotonic()
            if said.state != _CANCELLED and time.monotonic() - task.gone < _SETTLE_SECONDS:
                return None
            how = "cancelled" if said.state == _CANCELLED else "lost" if said.state in _LOST else "ended"
        said_itself = (folder / _HOW).read_text() if (folder / _HOW).is_file() else ""
        text = said_itself or f"SLURM says {said.state or 'nothing'} of its task {said.id}".rstrip()
        return Ended(task.job.key, how, said.node, text)

    def _submit(self, jobs: Sequence[Job]) -> None:
        array = uuid.uuid4().hex
        folder = jobs[0].folder.parent / ARRAYS / array
        write_atomically(folder / _KEYS, json.dumps([job.key for job in jobs]).encode())
        calls = [Carried(job.module, str(job.folder), self._environment(job), job.cwd) for job in jobs]
        cores = {"cpus_per_task": self._cpus * jobs[0].devices, **({"slurm_exclusive": True} if jobs[0].alone else {})}
        self._hand_over(folder, calls, {**self._limits, **cores})
        self._tasks |= {job.key: _Task(job, (array, number)) for number, job in enumerate(jobs)}

    def _environment(self, job: Job) -> dict[str, str]:
        # The number of threads decides how results are rounded, so one that is given is kept.
        return {"OMP_NUM_THREADS": str(self._cpus), **job.environment}

    def _hand_over(self, folder: Path, calls: Sequence[Carried], limits: Mapping[str, Any]) -> None:
        """Submit an array of the name that its folder has."""
        executor = self._executor(folder)
        more = {"requeue": True, **limits.get("slurm_additional_parameters", {})}
        executor.update_parameters(
            **{**limits, "slurm_additional_parameters": more},
            name=f"fer_bench {folder.parent.parent.name}",
            stderr_to_stdout=True,
            slurm_comment=folder.name,
            slurm_array_parallelism=len(calls),
        )
        try:
            with executor.batch():
                for call in calls:
                    executor.submit(call)
        except (OSError, RuntimeError) as error:
            lines = [line for line in str(error).splitlines() if "sbatch:" in line] or str(error).splitlines()
            problem = (
                f"SLURM did not take {counted(len(calls), 'job')}: {next(iter(lines), type(error).__name__).strip()}."
            )
            raise HardwareError(
                problem, "`sinfo` shows the partitions, and `sacctmgr show assoc` the accounts."
            ) from None

    def _executor(self, folder: Path) -> Any:
        import submitit

        return submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=_MOST_TIMEOUTS)

    def _look(self) -> dict[Place, Queued]:
        """Tasks of this user by place.

        Raises:
            HardwareError: SLURM does not answer.
        """
        command = ["squeue", "--me", "--array", "--noheader", "--states=all", "--format=%i|%K|%T|%N|%k"]
        try:
            said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(getattr(error, "stderr", None) or error).strip().partition("\n")[0]
            problem = f"SLURM does not answer: {reason}."
            raise HardwareError(problem, "Run the same command again when `squeue` works.") from None
        found = {}
        for line in said.splitlines():
            number, index, state, node, comment = line.strip().split("|", 4)
            found[comment, int(index) if index.isdigit() else 0] = Queued(number, state, node)
        return found

    def stop(self, keys: Iterable[str] | None = None) -> None:
        """Take jobs out of the queue."""
        chosen = list(self._tasks if keys is None else keys)
        self._waiting = [job for job in self._waiting if keys is not None and job.key not in chosen]
        rows = self._look()
        stopped = [self._tasks.pop(key).place for key in chosen if key in self._tasks]
        ids = [rows[place].id for place in stopped if place in rows and rows[place].waits_or_runs]
        if ids:
            subprocess.run(["scancel", *ids], capture_output=True, check=False)

    def close(self) -> None:
        """The queue keeps what it has."""


def minutes(text: str) -> int:
    """A limit of time as SLURM writes it: ``90``, ``1:30:00``, ``2-12`` (days and hours), ``2-12:30``.

    Raises:
        SpecError: it is none.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        problem = f"--time {text!r} is no limit of time."
        raise SpecError(problem, "Write it as SLURM does, for example --time 90, 12:00:00 or 2-12.")
    of = {name: int(value or 0) for name, value in found.groupdict().items()}
    whole = (of["days"] * 24 + of["day_hours"] + of["hours"]) * 60 + of["day_minutes"] + of["minutes"] + of["only"]
    return max(1, whole + (of["day_seconds"] + of["seconds"] > 0))


def require_slurm() -> None:
    """Refuse a machine from which nothing can be submitted.

    Raises:
        HardwareError: there is no ``sbatch``.
    """
    if shutil.which("sbatch") is None:
        problem = "--on slurm: there is no sbatch on this machine."
        raise HardwareError(problem, "Log in to a node from which jobs are submitted, or use --on local:N.")


def _submitted(folder: Path, known: set[str]) -> dict[str, list[Place]]:
    """The places of each key in arrays that SLURM still knows; the folders of all others are removed."""
    found: dict[str, list[Place]] = {}
    for keys in folder.glob(f"*/{_KEYS}"):
        array = keys.parent.name
        if array in known:
            for number, key in enumerate(json.loads(keys.read_text())):
                found.setdefault(key, []).append((array, number))
        else:
            shutil.rmtree(keys.parent, ignore_errors=True)
    return found
