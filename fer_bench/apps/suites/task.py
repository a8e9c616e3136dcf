"""One task of a suite as its process reads it, and how it ended as the driver reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fer_bench.atomic import write_atomically
from fer_bench.probes.settings import ProbeSettings
from fer_bench.spec import Execution, RunSpec
from fer_bench.sweeps.engines.seam import RESULT, TASK

MODULE = "fer_bench.apps.suites.child"


class TrialTask(BaseModel):
    """One trial of a search, whichever it lacks when the task begins.

    Args:
        name: of the search.
        space: what is varied, as YAML has it.
        budget: trials in all.
        prune: whether hopeless trainings end early.
        mark: of the study.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    space: dict[str, Any]
    budget: int
    prune: bool = True
    mark: str = ""


class Task(BaseModel):
    """What a process does; frozen, and complete in itself.

    Args:
        kind: ``run``: train and test; ``test``: a network on another dataset; ``grid``: heads on frozen networks;
            ``trial``: train settings of a search, and test nothing.
        spec: of the run, of the network that is tested, or that a search varies.
        network: reference of its record.
        dataset: that it is tested on.
        grid: of heads.
        trial: of a search.
        hidden: fields of the grid that are no part of what is stored of it: where its files are.
        execution: where and how; of a run its own.
        force: repeat what has a record; of the first try alone, for the others go on from what that has trained.
        imports: modules that the command has imported for the names that they register.
        scratch: whether the command is in scratch mode.
        stage: folder on the node's own disk that datasets are copied to; empty: they are read where they are.
        session: names one call of the command: staged data are compared with their source once a call and node.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["run", "test", "grid", "trial"]
    spec: RunSpec | None = None
    network: str = ""
    dataset: str = ""
    grid: ProbeSettings | None = None
    trial: TrialTask | None = None
    hidden: dict[str, Any] = {}
    execution: Execution = Execution()
    force: bool = False
    imports: tuple[str, ...] = ()
    scratch: bool = False
    stage: str = ""
    session: str = ""

    def write(self, folder: Path) -> None:
        """Put it into the folder of its job."""
        write_atomically(folder / TASK, self.model_dump_json(indent=1).encode())

    @classmethod
    def read(cls, folder: Path) -> Task:
        """The task of a folder."""
        return cls.model_validate_json((folder / TASK).read_bytes())

    def heads(self) -> ProbeSettings:
        """The grid with the fields that are not stored."""
        assert self.grid is not None
        return self.grid.model_copy(update=self.hidden)


def hidden_of(grid: ProbeSettings) -> dict[str, Any]:
    """The fields of a grid that its serialisation leaves out."""
    return {"weights_files": grid.weights_files, "table_file": grid.table_file}


class Outcome(BaseModel):
    """How a task ended, by its own account.

    Args:
        how: ``done``; ``nan``: the loss diverged, which a record says; ``memory``: there was not enough; ``busy``:
            another process holds the lock of the run; ``failed``: for any other reason; ``stopped``: by a signal.
        text: the error, in one line, or what was scored.
        host: the node.
        began: seconds since 1970.
        seconds: that it took.
    """

    how: Literal["done", "nan", "memory", "busy", "failed", "stopped"]
    text: str = ""
    host: str = ""
    began: float = 0.0
    seconds: float = 0.0

    def write(self, folder: Path) -> None:
        """Put it into the folder of its job; it is the last that a task writes."""
        write_atomically(folder / RESULT, self.model_dump_json().encode())

    @classmethod
    def read(cls, folder: Path) -> Outcome | None:
        """That of a folder; None where its task was killed before it could say anything."""
        try:
            return cls.model_validate_json((folder / RESULT).read_bytes())
        except (OSError, ValueError):
            return None
