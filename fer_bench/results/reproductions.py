"""Rows that were trained again: one file per repetition, in a separate tree next to the records, which never change for
it.

``<root>/reproductions/<protocol>/<model>/<run_id>.<digest>.json`` says what came of it, and
``<run_id>.<digest>.test.npz`` holds its predictions, whose digest it is; of what follows from stored predictions there
is nothing to hold. After a run was trained anew under the same id, a file names the former record's predictions, and no
board shows it.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fer_bench.atomic import write_atomically
from fer_bench.errors import DamagedFileWarning, HardwareError, RecordError
from fer_bench.predictions import Predictions
from fer_bench.results.beside import read_beside, require_run
from fer_bench.results.corruptions import made_with
from fer_bench.results.record import FileName, PredictionsFile, Record
from fer_bench.results.store import Store

FOLDER = "reproductions"
_MOST_BYTES = 2**20
_SHOWN = 6


class Reproduction(BaseModel):
    """One repetition of a record.

    Args:
        how: ``trained``: from its settings, on its data; ``recomputed``: from the stored predictions of its members.
        of: what it repeats, as of :func:`fer_bench.results.corruptions.made_with`.
        metric: the score, the one by which the protocol ranks.
        recorded: the score of the record.
        score: the new one.
        low: lower end of the 95 % interval in which another training's score is; None where nothing is known of it.
        high: its upper end.
        spread: what the interval is of, in words; empty where there is none.
        within: whether the new score is in the interval, or the predictions are the same; None where that cannot be
            said.
        identical: whether the predictions are the same, bit for bit.
        differences: in what the repetition was not the same, in words.
        predictions: the new ones.
        code: with which it was done.
        code_of_record: with which the record was made.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    run_id: FileName
    protocol: FileName
    model: str
    how: Literal["trained", "recomputed"] = "trained"
    of: dict[str, str]
    metric: str
    recorded: float | None
    score: float | None
    low: float | None = None
    high: float | None = None
    spread: str = ""
    within: bool | None = None
    identical: bool = False
    differences: list[str] = []
    predictions: PredictionsFile | None = None
    inputs: dict[str, str] = {}
    code: dict[str, Any] = {}
    code_of_record: dict[str, Any] = {}
    hardware: dict[str, Any] = {}
    seconds: float | None = Field(None, ge=0)
    created: str = ""

    def to_json(self) -> str:
        """The file's content."""
        return self.model_dump_json(indent=1) + "\n"

    @property
    def verdict(self) -> str:
        """What came of it, in words that fit a note below a board."""
        if self.how == "recomputed":
            return "follows from its members' predictions" if self.identical else "does not follow from its members"
        if self.identical:
            return "trained again: the same, bit for bit"
        if self.within is None:
            return "trained again: how much the score varies over trainings is not known"
        return f"trained again: {'within' if self.within else '**outside**'} the spread of its trainings"

    @classmethod
    def load(cls, path: Path, strict: bool = False) -> Reproduction:
        """Read a file.

        Args:
            path: of the file.
            strict: as of :meth:`fer_bench.results.record.Record.load`.

        Raises:
            RecordError: unreadable, damaged, or not where it says it belongs.
        """
        found = read_beside(cls, path, _MOST_BYTES, "the reproduction", "reproduce", strict=strict)
        require_run(path, found.protocol, found.model, found.run_id, path.stem.rpartition(".")[0])
        return found


def is_of(found: Reproduction, record: Record) -> bool:
    """Whether a file repeats a record as it is now."""
    return "test" in record.predictions and found.of == made_with(record)


def files(store: Store, protocol: str = "*") -> Iterator[Path]:
    """All files of a protocol, sorted."""
    yield from sorted((store.root / FOLDER).glob(f"{protocol}/*/*.json"))


def protocols(store: Store) -> list[str]:
    """Names of the protocols with any such file, sorted."""
    return sorted({path.parent.parent.name for path in files(store)})


def find(store: Store, record: Record) -> list[Reproduction]:
    """The repetitions of a record, in the order of their files; a damaged one is left out with a notice."""
    folder = _folder(store, record.protocol, record.model)
    found = []
    for path in sorted(folder.glob("*.json")):
        if path.stem.rpartition(".")[0] != record.run_id:
            continue
        try:
            one = Reproduction.load(path)
        except RecordError as error:
            warnings.warn(f"left out: {error}", DamagedFileWarning, stacklevel=2)
            continue
        if is_of(one, record):
            found.append(one)
    return found


def load_predictions(store: Store, found: Reproduction) -> Predictions | None:
    """The predictions of a repetition; None where it has none of its own.

    Raises:
        RecordError: they are missing, or others than it says.
    """
    if (entry := found.predictions) is None:
        return None
    return Predictions.load(_folder(store, found.protocol, found.model) / entry.file, entry.sha256, entry.n)


def put(store: Store, found: Reproduction, predictions: Predictions | None) -> Path:
    """Write a repetition, its predictions first.

    Args:
        store: of the record.
        found: without its entry of predictions, which is filled in here.
        predictions: of the test split; None where it has none of its own.

    Returns:
        The file.

    Raises:
        HardwareError: the disk is full or read-only.
    """
    content = b"" if predictions is None else predictions.to_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"{found.run_id}.{sha256[:_SHOWN]}"
    folder = _folder(store, found.protocol, found.model)
    try:
        if predictions is not None:
            write_atomically(folder / f"{name}.test.npz", content)
            entry = PredictionsFile(file=f"{name}.test.npz", sha256=sha256, n=len(predictions))
            found = found.model_copy(update={"predictions": entry})
        write_atomically(folder / f"{name}.json", found.to_json().encode())
    except OSError as error:
        problem = f"the reproduction cannot be written to {folder}: {error.strerror or error}."
        raise HardwareError(problem, "Free some space or fix the permissions, and run the command again.") from None
    return folder / f"{name}.json"


def _folder(store: Store, protocol: str, model: str) -> Path:
    # The store checks that the names lead nowhere else.
    return store.root / FOLDER / store.path(protocol, model, "any").parent.relative_to(store.results)
