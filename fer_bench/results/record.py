"""Record: one run as one JSON file: its settings, data and scores, and the names of its predictions files."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import from_json

from fer_bench import metric_plugins
from fer_bench.errors import RecordError
from fer_bench.findings import like, reason
from fer_bench.protocols import learn_classes, learn_values, state_classes, state_values
from fer_bench.results.layout import lay_out
from fer_bench.results.newer import refuse_newer
from fer_bench.untrusted import read_regular, shown, strict_json

_MOST_BYTES = 16 * 2**20
# With what is added to it (a split, a digest, `.part`) a file's name still fits into the 255 bytes of every file
# system.
_LONGEST_NAME = 180
_LARGEST = 1e300
# What is read may hold fields of newer versions; what this version writes may not.
STORED = {"stored": True}


def plain_name(name: str) -> str:
    """A name that leads nowhere else when it becomes part of a path.

    Raises:
        ValueError: it is empty, hidden, too long, or holds a separator or what cannot be printed.
    """
    if not name or name.startswith(".") or "/" in name or "\\" in name or not name.isprintable():
        raise ValueError("should be a plain name, without a folder")
    if len(name.encode()) > _LONGEST_NAME:
        problem = f"should have at most {_LONGEST_NAME} bytes"
        raise ValueError(problem)
    return name


def _finite(metrics: dict[str, Any]) -> dict[str, Any]:
    """Numbers that can be compared and shown; lists are left to the verification."""
    for value in metrics.values():
        if isinstance(value, dict):
            _finite(value)
        elif isinstance(value, (int, float)) and not -_LARGEST <= value <= _LARGEST:
            raise ValueError("should be finite numbers")
    return metrics


FileName = Annotated[str, AfterValidator(plain_name)]
Metrics = Annotated[dict[str, Any], AfterValidator(_finite)]
Kind = Literal["trained", "ensemble", "probe", "human", "evaluated", "external"]


class PredictionsFile(BaseModel):
    """A predictions file next to the record.

    Args:
        file: its name, in the record's own folder.
        sha256: of the whole file.
        n: rows.
        head: position in a file that holds the outputs of a whole grid; None in a file of one run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: FileName
    sha256: Annotated[str, like("[0-9a-f]{64}", "64 hexadecimal digits")]
    n: int = Field(ge=0)
    head: int | None = Field(None, ge=0)


class Record(BaseModel):
    """The result of one run. Numbers are kept in full precision; undefined ones are null, with a reason next to them.

    A stored record keeps fields that this version does not know (:attr:`unknown_fields`), also when it is rewritten;
    see CONTRIBUTING.md, "Records".

    Args:
        row: identity of the settings without the seed; records that share it are one row of the leaderboard.
        outcomes: for class tasks, one bit per test sample in the order of the predictions file: answered rightly.
            Paired tests need no more, so a leaderboard of ten thousand records is rendered without opening ten thousand
            files.
        data: what is known of the data; of a task of classes or values that a user has named, ``classes`` or
            ``values`` states them, so that the record is understood anywhere.
        caveats: ``selected on test``, ``leaky``, ``claims another copy of the data``, ...: shown beside the row.
        inputs: fingerprint of what it is a result of, see :mod:`fer_bench.results.inputs`; empty in records from before
            there was one.
        metrics_version: revision of the table of metrics (:mod:`fer_bench.metrics`) that scored it; records that do not
            say it are of the first.
        ranked: False for settings of a grid that were not chosen: kept and verified, but no row of the leaderboard.
    """

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    run_id: FileName
    row: str
    kind: Kind = "trained"
    protocol: FileName
    protocol_version: int = 1
    task: str
    dataset: str
    model: str
    recipe: str = ""
    seed: int | None = None
    status: Literal["finished", "nan", "failed"] = "finished"
    message: str = ""
    metrics: Metrics = {}
    validation_metrics: Metrics = {}
    metrics_version: int = Field(1, ge=1)
    n_scored: int = Field(0, ge=0)
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
    inputs: dict[str, str] = {}
    created: str = Field("", description="UTC, ISO 8601")

    @model_validator(mode="after")
    def _known_fields(self, info: ValidationInfo) -> Record:
        if self.model_extra and not (info.context or {}).get("stored"):
            problem = f"unknown field {shown(repr(min(self.model_extra)), 40)}"
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _known_metrics(self) -> Record:
        metric_plugins.learn(self.code)
        return self

    @model_validator(mode="after")
    def _known_classes(self) -> Record:
        try:
            for key, learn in (("classes", learn_classes), ("values", learn_values)):
                stated = self.data.get(key)
                learn(stated if isinstance(stated, dict) else {})
        except RecordError as error:
            raise ValueError(error.problem) from None
        return self

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        """Names of the fields that a newer version has added, sorted."""
        return tuple(sorted(self.model_extra or ()))

    def to_json(self) -> str:
        """The file's content: one field a line, and long ones one entry a line; the same record always gives the same
        text.
        """
        return lay_out(from_json(self.model_dump_json())) + "\n"

    @classmethod
    def load(cls, path: Path, strict: bool = False) -> Record:
        """Read a record.

        Args:
            path: its file.
            strict: also refuse what other readers of JSON would understand otherwise: a key that is there twice,
                numbers beyond a float. Takes three times as long, so it is for the verification.

        Raises:
            RecordError: unreadable, truncated, or not what a record holds; names the file and the key.
            NewerRecordError: of a schema that only newer versions read.
        """
        hint = "Restore it from version control, or delete it and repeat the run."
        try:
            content = read_regular(path, _MOST_BYTES)
            if strict:
                strict_json(content)
            return cls.model_validate_json(content, context=STORED)
        except OSError as error:
            problem = f"{path}: the record cannot be read ({error.strerror})."
            raise RecordError(problem) from None
        except (ValueError, RecursionError) as error:
            if isinstance(error, ValidationError):
                refuse_newer(path, _parsed(content))
            what = first_finding(error) if isinstance(error, ValidationError) else f"the file: {shown(error)}"
            problem = f"{path}: damaged record: {what}."
            raise RecordError(problem, hint) from None


def _parsed(content: bytes) -> Any:
    """What can be read of a file that is no record of this version; None where it is no JSON."""
    try:
        return from_json(content)
    except ValueError:
        return None


def first_finding(error: ValidationError) -> str:
    """The first thing that is wrong with a record: key and reason."""
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{shown(key, 80)}: {shown(reason(first))}"


def with_classes(record: Record) -> Record:
    """A record that states the classes, or the values, of its task, where a user has named them."""
    both = {"classes": state_classes(record.task), "values": state_values(record.task)}
    stated = {key: content for key, content in both.items() if content}
    return record.model_copy(update={"data": {**record.data, **stated}}) if stated else record


def pack_outcomes(correct: npt.NDArray[np.bool_]) -> str:
    """Bits to text: base64 of the packed bits, most significant first."""
    return base64.b64encode(np.packbits(correct).tobytes()).decode("ascii")


def unpack_outcomes(text: str, n: int) -> npt.NDArray[np.bool_]:
    """Text to ``n`` bits.

    Raises:
        RecordError: fewer bits than samples, more bytes than they need, or no base64.
    """
    try:
        bits = np.unpackbits(np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8))
    except ValueError as error:
        problem = f"outcomes: {error}."
        raise RecordError(problem) from None
    if n < 0 or not 0 <= len(bits) - n < 8:
        problem = f"outcomes: {len(bits)} bits for {n} samples."
        raise RecordError(problem)
    return bits[:n].astype(bool)
