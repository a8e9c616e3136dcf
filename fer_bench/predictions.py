"""Predictions: what every route through the suite ends in, and all that scoring ever sees."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.errors import RecordError


@dataclass(frozen=True)
class Predictions:
    """Outputs of one model on one split.

    Args:
        ids: shape (N,), text; names the samples; unique.
        targets: shape (N,) class ids, or (N, D) values.
        outputs: shape (N, C) class probabilities, or (N, D) values; float32. A row of NaN is "no answer" and counts as wrong.
        flags: named boolean columns of shape (N,), such as ``duplicate``: the sample has a near copy in another split.
        groups: shape (N,), text: clip or person, for intervals that resample whole groups; None where every sample stands alone.
    """

    ids: npt.NDArray[np.str_]
    targets: npt.NDArray[np.generic]
    outputs: npt.NDArray[np.float32]
    flags: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    groups: npt.NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        columns = {"targets": self.targets, "outputs": self.outputs, **self.flags, **({"groups": self.groups} if self.groups is not None else {})}
        for name, column in columns.items():
            if len(column) != n:
                problem = f"predictions: {name} has {len(column)} rows, ids has {n}."
                raise RecordError(problem)
        if len(np.unique(self.ids)) != n:
            problem = "predictions: some ids occur more than once."
            raise RecordError(problem)

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Predictions:
        """The rows of a mask or of positions, in that order."""
        flags = {name: column[keep] for name, column in self.flags.items()}
        groups = None if self.groups is None else self.groups[keep]
        return Predictions(self.ids[keep], self.targets[keep], self.outputs[keep], flags, groups)

    def to_bytes(self) -> bytes:
        """Serialise; the same predictions always give the same bytes."""
        arrays: dict[str, npt.NDArray[np.generic]] = {"ids": self.ids.astype(np.str_), "targets": self.targets, "outputs": self.outputs.astype(np.float32)}
        arrays |= {f"flag_{name}": column for name, column in sorted(self.flags.items())}
        if self.groups is not None:
            arrays["groups"] = self.groups.astype(np.str_)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def load(cls, path: Path, sha256: str | None = None) -> Predictions:
        """Read a predictions file.

        Args:
            path: the ``.npz`` file.
            sha256: what the record says of it, if anything.

        Raises:
            RecordError: missing, damaged, or another file than the record means.
        """
        try:
            content = path.read_bytes()
        except OSError:
            problem = f"{path}: the predictions file is missing."
            raise RecordError(problem, "Restore it from version control, or remove the record.") from None
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            problem = f"{path}: the file is not the one that its record names (SHA-256 differs)."
            raise RecordError(problem, "Restore it from version control, or repeat the run.")
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                flags = {name.removeprefix("flag_"): arrays[name] for name in arrays.files if name.startswith("flag_")}
                groups = arrays["groups"] if "groups" in arrays.files else None
                return cls(arrays["ids"], arrays["targets"], arrays["outputs"], flags, groups)
        except (ValueError, LookupError, EOFError, TypeError, AttributeError, OSError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            problem = f"{path}: not a predictions file ({error})."
            raise RecordError(problem, "Restore it from version control, or repeat the run.") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Put a file in place so that no reader ever sees part of it, also when the machine stops in the middle.

    Args:
        path: where it goes; folders are made.
        content: all of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
