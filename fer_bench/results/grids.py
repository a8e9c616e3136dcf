"""Grids: many records of one kind in one file, and their predictions in another.

A grid of linear heads makes some eighty records at once that differ in a learning rate, a loss and a seed. ``<grid>.grid.json`` holds what they share once
and what differs per record, one record a line; ``<grid>.<split>.npz`` holds their outputs stacked, in half precision. Scores are computed from what is
stored.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from fer_bench.errors import RecordError
from fer_bench.predictions import Predictions
from fer_bench.results.record import Record

SUFFIX = ".grid.json"


@dataclass(frozen=True)
class StackedPredictions:
    """Outputs of H models on one split.

    Args:
        common: ids, targets, flags and groups of the split; its outputs mean nothing.
        outputs: shape (H, N, C), float16.
    """

    common: Predictions
    outputs: npt.NDArray[np.float16]

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
        return Predictions(common.ids, common.targets, self.outputs[head].astype(np.float32), common.flags, common.groups)

    def to_bytes(self) -> bytes:
        """Serialise; the same predictions always give the same bytes."""
        common = self.common
        arrays: dict[str, npt.NDArray[np.generic]] = {"ids": common.ids.astype(np.str_), "targets": common.targets, "outputs": self.outputs.astype(np.float16)}
        arrays |= {f"flag_{name}": column for name, column in sorted(common.flags.items())}
        if common.groups is not None:
            arrays["groups"] = common.groups.astype(np.str_)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def load(cls, path: Path, sha256: str) -> StackedPredictions:
        """Read a grid's predictions of one split.

        Raises:
            RecordError: missing, damaged, or another file than the records mean.
        """
        try:
            content = path.read_bytes()
        except OSError:
            problem = f"{path}: the predictions file is missing."
            raise RecordError(problem, "Restore it from version control, or remove the grid.") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            problem = f"{path}: the file is not the one that its records name (SHA-256 differs)."
            raise RecordError(problem, "Restore it from version control, or repeat the grid.")
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                flags = {name.removeprefix("flag_"): arrays[name] for name in arrays.files if name.startswith("flag_")}
                groups = arrays["groups"] if "groups" in arrays.files else None
                outputs = arrays["outputs"]
                empty = np.zeros((outputs.shape[1], outputs.shape[2]), dtype=np.float32)
                return cls(Predictions(arrays["ids"], arrays["targets"], empty, flags, groups), outputs)
        except (ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile) as error:
            problem = f"{path}: not a predictions file of a grid ({error})."
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
            shared[section] = {key: value for key, value in dumps[0][section].items() if all(dump[section].get(key) == value for dump in dumps)}
    lines = []
    for dump in dumps:
        own = {key: value for key, value in dump.items() if shared.get(key) != value}
        for section in set(own) & {"spec", "predictions"}:
            own[section] = {key: value for key, value in own[section].items() if key not in shared[section]}
        lines.append(_compact(own))
    return '{"schema_version":1,\n"shared":' + _compact(shared) + ',\n"records":[\n' + ",\n".join(lines) + "\n]}\n"


def load_grid(path: Path) -> list[Record]:
    """Records of a grid's file.

    Raises:
        RecordError: unreadable, damaged, not where it says it belongs, or with a run twice.
    """
    try:
        content = json.loads(path.read_bytes())
        shared, owns = content["shared"], content["records"]
        records = [Record.model_validate(_joined(shared, own)) for own in owns]
    except OSError as error:
        problem = f"{path}: the grid cannot be read ({error.strerror})."
        raise RecordError(problem) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        what = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}" if first else str(error).splitlines()[0]
        problem = f"{path}: damaged grid: {what}."
        raise RecordError(problem, "Restore it from version control, or delete it and repeat the grid.") from None
    ids = [record.run_id for record in records]
    if len(set(ids)) != len(ids) or any(record.protocol != path.parent.parent.name for record in records):
        problem = f"{path}: holds a run twice, or records of another protocol."
        raise RecordError(problem, "Restore it from version control, or move it back to where it belongs.")
    return records


def _joined(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    sections: dict[str, Any] = {key: {**shared[key], **own[key]} for key in ("spec", "predictions") if key in own and key in shared}
    return {**shared, **own, **sections}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
