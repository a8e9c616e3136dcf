"""The seam between a suite and what carries it out: jobs, how they end, and what an engine is."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

TASK, RESULT, LOG, OUTBOX = "task.json", "result.json", "log.txt", "outbox"
# What of a GPU's memory a job may take, where several share one: a variable of its process.
SHARE = "FER_BENCH_GPU_SHARE"


@dataclass(frozen=True)
class Job:
    """One try of one task.

    Args:
        key: names the task among those of its suite; fit for the name of a file.
        name: what a user reads.
        folder: of the task at the driver; holds ``task.json`` and what the task needs of the store, and gets
            ``result.json``, ``outbox/`` and ``log.txt``.
        module: is run with the folder as its argument.
        environment: variables of its process, on top of those of the process that starts it.
        devices: GPUs, or CPU slots, that it has for itself.
        alone: it shares no GPU and, on CPUs, no node with another job: it ran out of memory beside others.
        cwd: the driver's folder, in which the job begins where the node has it.
        tries: how often it was started before.
    """

    key: str
    name: str
    folder: Path
    module: str
    environment: dict[str, str] = field(default_factory=dict)
    devices: int = 1
    alone: bool = False
    cwd: str = ""
    tries: int = 0


@dataclass(frozen=True)
class Ended:
    """A job that is no longer carried out.

    Args:
        key: of the job.
        how: ``ended``: its process has ended, and ``result.json`` says how, or is not there because it was killed;
            ``lost``: the node has gone, or the scheduler has taken the job back; it may be started anywhere again;
            ``cancelled``: somebody has taken it out of the scheduler's queue.
        where: the node.
        text: what the engine knows about it, in one line.
    """

    key: str
    how: Literal["ended", "lost", "cancelled"]
    where: str = ""
    text: str = ""


class Engine(Protocol):
    """What carries out jobs. Its methods are called from one thread, and none of them waits for a job."""

    name: str
    # Whether jobs get GPUs.
    gpu: bool
    # Whether jobs wait in a queue that outlives the driver: it may end, and the same command gathers them later.
    queues: bool

    def slots(self) -> int:
        """How many devices it has in all at present, shares of a GPU counted as one each."""

    def adopt(self, job: Job) -> bool:
        """Take over a job that an earlier driver has started and that is still carried out, or waits in the queue."""

    def room(self, job: Job) -> bool:
        """Whether a job could begin now; a queue always has room.

        Raises:
            HardwareError: there will never be room for it.
        """

    def start(self, job: Job) -> None:
        """Begin a job for which there is room, or hand it to the scheduler's queue; its folder is complete."""

    def running(self) -> dict[str, str]:
        """The jobs that are being carried out now, those of a scheduler's queue left out, each with its node."""

    def poll(self) -> Iterable[Ended]:
        """What has ended since the last call. What a job has written is in its folder at the driver by now."""

    def stop(self, keys: Iterable[str] | None = None) -> None:
        """End jobs, all by default, with everything that they have started; :meth:`poll` does not name them later."""

    def close(self) -> None:
        """Let go of what the engine holds; jobs in a queue of the scheduler stay there."""


def packed(folder: Path, *, leave: Iterable[str] = ()) -> bytes:
    """All files of a folder in one piece, for a node that does not see it.

    Args:
        folder: of a job.
        leave: names directly in the folder that are left out.
    """
    content, out = io.BytesIO(), set(leave)
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            if path.is_file() and name.parts[0] not in out and not name.name.endswith(".lock"):
                archive.writestr(zipfile.ZipInfo(name.as_posix()), path.read_bytes())
    return content.getvalue()


def unpacked(content: bytes, folder: Path) -> None:
    """The opposite of :func:`packed`; ``result.json`` comes last, so that who sees it sees all."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in sorted(archive.namelist(), key=lambda name: (name == RESULT, name)):
            archive.extract(name, folder)
