"""Record: one run as one JSON file: what was run, on what, what came out, and where its predictions lie."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_bench.errors import RecordError
from fer_bench.protocols import learn_classes, state_classes

Kind = Literal["trained", "ensemble", "probe", "human", "evaluated", "external"]


class PredictionsFile(BaseModel):
    """A predictions file beside the record.

    Args:
        file: its name, in the record's own folder.
        sha256: of the whole file.
        n: rows.
        head: position in a file that holds the outputs of a whole grid; None in a file of one run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    sha256: str
    n: int
    head: int | None = Field(None, ge=0)


class Record(BaseModel):
    """One row's worth of evidence. Numbers are kept in full precision; what is undefined is null with a reason beside it.

    Args:
        row: identity of the settings without the seed; records that share it are one row of the leaderboard.
        outcomes: for class tasks, one bit per test sample in the order of the predictions file: answered rightly. Paired tests need
            no more, so a leaderboard of ten thousand records is rendered without opening ten thousand files.
        data: what is known of the data; of a task of classes that a user has named, ``classes`` states them, so that the record is understood anywhere.
        caveats: ``selected on test``, ``leaky``, ``claims another copy of the data``, ...: shown beside the row.
        ranked: False for settings of a grid that were not chosen: kept and verified, but no row of the leaderboard.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    run_id: str
    row: str
    kind: Kind = "trained"
    protocol: str
    protocol_version: int = 1
    task: str
    dataset: str
    model: str
    recipe: str = ""
    seed: int | None = None
    status: Literal["finished", "nan", "failed"] = "finished"
    message: str = ""
    metrics: dict[str, Any] = {}
    validation_metrics: dict[str, Any] = {}
    n_scored: int = 0
    spec: dict[str, Any] = {}
    data: dict[str, Any] = {}
    code: dict[str, Any] = {}
    hardware: dict[str, Any] = {}
    training: dict[str, Any] = {}
    parameters: dict[str, int] = {}
    predictions: dict[str, PredictionsFile] = {}
    outcomes: str = ""
    caveats: list[str] = []
    notes: list[str] = []
    ranked: bool = True
    created: str = Field("", description="UTC, ISO 8601")

    @model_validator(mode="after")
    def _known_classes(self) -> Record:
        stated = self.data.get("classes")
        try:
            learn_classes(stated if isinstance(stated, dict) else {})
        except RecordError as error:
            raise ValueError(error.problem) from None
        return self

    def to_json(self) -> str:
        """The file's content."""
        return self.model_dump_json(indent=1) + "\n"

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read a record.

        Raises:
            RecordError: unreadable, truncated, or of a schema that this version does not know; names the file and the key.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            problem = f"{path}: the record cannot be read ({error.strerror})."
            raise RecordError(problem) from None
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "the file"
            problem = f"{path}: damaged record: {key}: {first['msg']}."
            raise RecordError(problem, "Restore it from version control, or delete it and repeat the run.") from None


def with_classes(record: Record) -> Record:
    """A record that states the classes of its task, where a user has named them."""
    stated = state_classes(record.task)
    return record.model_copy(update={"data": {**record.data, "classes": stated}}) if stated else record


def pack_outcomes(correct: npt.NDArray[np.bool_]) -> str:
    """Bits to text: base64 of the packed bits, most significant first."""
    return base64.b64encode(np.packbits(correct).tobytes()).decode("ascii")


def unpack_outcomes(text: str, n: int) -> npt.NDArray[np.bool_]:
    """Text to ``n`` bits.

    Raises:
        RecordError: fewer bits than samples, or no base64.
    """
    try:
        bits = np.unpackbits(np.frombuffer(base64.b64decode(text), dtype=np.uint8))
    except ValueError as error:
        problem = f"outcomes: {error}."
        raise RecordError(problem) from None
    if len(bits) < n:
        problem = f"outcomes: {len(bits)} bits for {n} samples."
        raise RecordError(problem)
    return bits[:n].astype(bool)
