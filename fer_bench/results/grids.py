"""Grids: many records of one kind in one file, and their predictions in another.

A grid of linear heads makes some eighty records at once that differ in a learning rate, a loss and a seed.
``<grid>.grid.json`` holds what they share once and what differs per record, one record a line;
``<grid>.grid.<split>.npz`` holds their outputs stacked, probabilities in half precision, values in single precision.
Scores are computed from what is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from fer_bench.errors import RecordError
from fer_bench.npz import STACKED, flags_of, read_columns, to_npz
from fer_bench.predictions import Predictions
from fer_bench.results.newer import SCHEMA, refuse_newer
from fer_bench.results.record import STORED, Record, first_finding
from fer_bench.untrusted import parse_json, read_regular, require_faultless, shown

SUFFIX = ".grid.json"
_MOST_BYTES = 64 * 2**20
# A member more would be lost when the grid is written anew: it takes another schema.
_MEMBERS = frozenset({"schema_version", "shared", "records"})


@dataclass(frozen=True)
class StackedPredictions:
    """Outputs of H models on one split.

    Args:
        common: ids, targets, flags and groups of the split; its outputs mean nothing.
        outputs: shape (H, N, C), float16 or, of values, float32.
    """

    common: Predictions
    outputs: npt.NDArray[np.float16] | npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.common)

    def of(self, head: int) -> Predictions:
        """Predictions of one model, as stored.

        Raises:
            RecordError: there is no such model.
        """
        if not 0 <= head < len(self.outputs):
            problem = f"predictions: there is no head {head} among {len(self.outputs)}."
            raise RecordError(problem)
        common = self.common
        return Predictions(
            common.ids, common.targets, self.outputs[head].astype(np.float32), common.flags, common.groups
        )

    def to_bytes(self) -> bytes:
        """Serialise; the same predictions always give the same bytes."""
        common = self.common
        columns: dict[str, npt.NDArray[np.generic]] = {
            "ids": common.ids.astype(np.str_),
            "targets": common.targets,
            "outputs": self.outputs,
        }
        if common.groups is not None:
            columns["groups"] = common.groups.astype(np.str_)
        return to_npz(columns, common.flags)

    @classmethod
    def load(cls, path: Path, sha256: str, n: int | None = None) -> StackedPredictions:
        """Read a grid's predictions of one split.

        Args:
            path: the ``.npz`` file.
            sha256: what the records say of it.
            n: the number of rows that they say it has.

        Raises:
            RecordError: missing, damaged, or another file than the records mean; of any size, it takes no more than a
                bounded amount of memory.
        """
        arrays = read_columns(path, STACKED, sha256, n)
        outputs = arrays["outputs"]
        # The outputs of the common part mean nothing and take no space.
        empty = np.broadcast_to(np.float32(0), outputs.shape[1:])
        try:
            return cls(
                Predictions(arrays["ids"], arrays["targets"], empty, flags_of(arrays), arrays.get("groups")), outputs
            )
        except RecordError as error:
            problem = f"{path}: not a predictions file of a grid ({error.problem})"
            raise RecordError(problem, "Restore it from version control, or repeat the grid.") from None


def record_file(record: Record) -> str:
    """Name of the file that holds a record: its own, or that of its grid."""
    entry = next((entry for entry in record.predictions.values() if entry.head is not None), None)
    return f"{record.run_id}.json" if entry is None else entry.file.split(".")[0] + SUFFIX


def grid_to_json(records: Sequence[Record]) -> str:
    """Content of a grid's file: what all records share, then one record a line."""
    dumps = [record.model_dump(mode="json") for record in records]
    shared = {key: value for key, value in dumps[0].items() if all(dump[key] == value for dump in dumps)}
    for section in ("spec", "predictions"):
        # Sections whose entries are mostly the same are shared entry by entry.
        if section not in shared:
            shared[section] = {
                key: value
                for key, value in dumps[0][section].items()
                if all(dump[section].get(key) == value for dump in dumps)
            }
    lines = []
    for dump in dumps:
        own = {key: value for key, value in dump.items() if shared.get(key) != value}
        for section in set(own) & {"spec", "predictions"}:
            own[section] = {key: value for key, value in own[section].items() if key not in shared[section]}
        lines.append(_compact(own))
    return (
        f'{{"schema_version":{SCHEMA},\n"shared":'
        + _compact(shared)
        + ',\n"records":[\n'
        + ",\n".join(lines)
        + "\n]}\n"
    )


def load_grid(path: Path) -> list[Record]:
    """Records of a grid's file.

    Raises:
        RecordError: unreadable, damaged, not where it says it belongs, or with a run twice.
    """
    return [_or_raise(line) for line in grid_lines(path)]


def grid_lines(path: Path) -> Iterator[Record | RecordError]:
    """Records of a grid's file one by one, and the error instead of each that cannot be used.

    Raises:
        NewerRecordError: it is of a schema that only newer versions read.
        RecordError: the file as a whole is unreadable or damaged.
    """
    try:
        content = parse_json(read_regular(path, _MOST_BYTES))
        if not isinstance(content, dict):
            require_faultless(content)
            raise TypeError("no object")
        # A grid says what wrote it in what its records share.
        shared = content.get("shared")
        refuse_newer(path, {**content, "code": shared.get("code")} if isinstance(shared, dict) else content)
        if more := content.keys() - _MEMBERS:
            what = f"unknown member {shown(repr(min(more)), 40)}"
            raise TypeError(what)
        shared, owns = content["shared"], content["records"]
        if not isinstance(shared, dict) or not isinstance(owns, list):
            raise TypeError("'shared' is not an object, or 'records' not a list")
        require_faultless(shared)
    except OSError as error:
        problem = f"{path}: the grid cannot be read ({error.strerror})."
        raise RecordError(problem) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, shown(error)) from None
    seen: set[str] = set()
    for number, own in enumerate(owns, start=1):
        try:
            require_faultless(own)
            joined = _joined(shared, own)
            refuse_newer(path, joined)
            record = Record.model_validate(joined, context=STORED)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = first_finding(error) if isinstance(error, ValidationError) else shown(error)
            yield _damaged(path, f"record {number}: {what}")
            continue
        if record.run_id in seen or record.protocol != path.parent.parent.name:
            problem = f"{path}: holds the run {record.run_id} twice, or records of another protocol."
            yield RecordError(problem, "Restore it from version control, or move it back to where it belongs.")
        else:
            yield record
        seen.add(record.run_id)


def _or_raise(line: Record | RecordError) -> Record:
    if isinstance(line, RecordError):
        raise line
    return line


def _damaged(path: Path, what: str) -> RecordError:
    return RecordError(
        f"{path}: damaged grid: {what}.", "Restore it from version control, or delete it and repeat the grid."
    )


def _joined(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    sections: dict[str, Any] = {
        key: {**shared[key], **own[key]} for key in ("spec", "predictions") if key in own and key in shared
    }
    return {**shared, **own, **sections}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
