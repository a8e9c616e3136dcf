"""Predictions: what every route through the suite ends in, and all that scoring ever sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.errors import RecordError
from fer_bench.npz import SINGLE, flags_of, read_columns, to_npz


@dataclass(frozen=True)
class Predictions:
    """Outputs of one model on one split.

    Args:
        ids: shape (N,), text; names the samples; unique.
        targets: shape (N,) class ids, (N, K) whether each sample has each category (integers), or (N, D) values.
        outputs: shape (N, C) class probabilities, (N, K) probabilities of categories, or (N, D) values; float32. A row
            of NaN is "no answer" and counts as wrong.
        flags: named boolean columns of shape (N,), such as ``duplicate``: the sample has a near-duplicate in another
            split.
        groups: shape (N,), text: clip or person, for intervals that resample whole groups; None where every sample
            stands alone.
    """

    ids: npt.NDArray[np.str_]
    targets: npt.NDArray[np.generic]
    outputs: npt.NDArray[np.float32]
    flags: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    groups: npt.NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        columns = {
            "targets": self.targets,
            "outputs": self.outputs,
            **self.flags,
            **({"groups": self.groups} if self.groups is not None else {}),
        }
        for name, column in columns.items():
            if len(column) != n:
                problem = f"predictions: {name} has {len(column)} rows, ids has {n}."
                raise RecordError(problem)
        # A set takes a tenth of the time of a sort.
        if len(set(self.ids.tolist())) != n:
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
        columns: dict[str, npt.NDArray[np.generic]] = {
            "ids": self.ids.astype(np.str_),
            "targets": self.targets,
            "outputs": self.outputs.astype(np.float32),
        }
        if self.groups is not None:
            columns["groups"] = self.groups.astype(np.str_)
        return to_npz(columns, self.flags)

    @classmethod
    def load(cls, path: Path, sha256: str | None = None, n: int | None = None) -> Predictions:
        """Read a predictions file.

        Args:
            path: the ``.npz`` file.
            sha256: what the record says of it, if anything.
            n: the number of rows that the record says it has, if anything.

        Raises:
            RecordError: missing, damaged, or another file than the record means; of any size, it takes no more than a
                bounded amount of memory.
        """
        arrays = read_columns(path, SINGLE, sha256, n)
        try:
            return cls(arrays["ids"], arrays["targets"], arrays["outputs"], flags_of(arrays), arrays.get("groups"))
        except RecordError as error:
            problem = f"{path}: not a predictions file ({error.problem})"
            raise RecordError(problem, "Restore it from version control, or repeat the run.") from None
