"""verify(): recompute every published number from the predictions beside it."""

from __future__ import annotations

import binascii
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.ensembles.recompute import recompute_from_members
from fer_bench.errors import FerBenchError, RecordError, VerificationError
from fer_bench.leaderboard.rows import protocol_of
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.registry import unknown_name
from fer_bench.results.grids import load_grid
from fer_bench.results.record import Record, unpack_outcomes
from fer_bench.results.store import Store
from fer_bench.scoring.moments import mean_ccc
from fer_bench.scoring.score import correct, score

TOLERANCE = 1e-9
_LONGEST = 60


@dataclass(frozen=True)
class Difference:
    """One thing that a record says and that does not follow from its predictions.

    Args:
        file: the record.
        key: what of it, as a path of keys.
        stored: what the record says; None where it says nothing.
        recomputed: what it should say, or what is wrong.
    """

    file: Path
    key: str
    stored: Any
    recomputed: Any

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: stored {_short(self.stored)}, recomputed {_short(self.recomputed)}"


@dataclass(frozen=True)
class VerificationReport:
    """Outcome of a verification.

    Args:
        n_verified: records whose every number was recomputed.
        n_without: records of runs that failed or became NaN: nothing to recompute.
        differences: in the order of the files.
    """

    n_verified: int
    n_without: int
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """Whether every number follows from its predictions."""
        return not self.differences

    def summary(self) -> str:
        """One sentence."""
        files = len({difference.file for difference in self.differences})
        found = f"{len(self.differences)} differences in {files} records" if self.differences else "no difference"
        return f"{self.n_verified} records recomputed from their predictions, {self.n_without} without any: {found}."

    def require_ok(self) -> None:
        """Raise if anything differs.

        Raises:
            VerificationError: names the first difference.
        """
        if self.differences:
            problem = f"{self.summary()} The first: {self.differences[0]}."
            raise VerificationError(problem, "Restore the files from version control, or repeat the runs.")


def verify(store: Store, protocols: Sequence[str] | None = None) -> VerificationReport:
    """Recompute the scores of stored records.

    Args:
        store: records and predictions.
        protocols: names of those to verify; none: all.

    Returns:
        Every difference: numbers (floats within 1e-9), outcomes, counts, files that are missing, altered or damaged, and test predictions whose
        samples are not in the order of the other records of the same copy, on which paired tests rely.

    Raises:
        UnknownNameError: a protocol without records.
    """
    differences: list[Difference] = []
    n_verified = n_without = 0
    order: dict[tuple[str, str], tuple[bytes, str]] = {}
    known = store.protocols()
    for name in protocols or ():
        if name not in known:
            raise unknown_name("protocol", name, known)
    for name in sorted(set(protocols)) if protocols else known:
        for path, record in _entries(store, name):
            if isinstance(record, RecordError):
                differences.append(Difference(path, "the file", None, record.problem))
                continue
            if record.status != "finished":
                n_without += 1
                continue
            n_verified += 1
            differences += verify_record(store, record, path, order)
    return VerificationReport(n_verified, n_without, tuple(differences))


def verify_record(store: Store, record: Record, path: Path, order: dict[tuple[str, str], tuple[bytes, str]] | None = None) -> Iterator[Difference]:
    """Differences of one finished record.

    Args:
        store: where its predictions lie.
        record: the record.
        path: its file.
        order: ids seen so far, by protocol and checksum of the test split; is filled.
    """
    try:
        protocol = protocol_of(record)
    except FerBenchError as error:
        yield Difference(path, "protocol", record.protocol, error.problem)
        return
    test = yield from _split(store, record, path, protocol, "test", record.metrics)
    if record.validation_metrics or "validation" in record.predictions:
        yield from _split(store, record, path, protocol, "validation", record.validation_metrics)
    if test is None:
        return
    if record.n_scored != len(test):
        yield Difference(path, "n_scored", record.n_scored, len(test))
    if protocol.task.kind == "classes":
        yield from _outcomes(path, record.outcomes, correct(test))
    if on_train := record.training.get("on_train"):
        yield from _on_train(on_train, path)
    if record.kind == "ensemble":
        yield from (Difference(path, "members", "predictions", finding) for finding in recompute_from_members(store, record))
    checksum = (record.data.get("checksums") or {}).get("test", "")
    if order is not None and checksum:
        ids, first = order.setdefault((record.protocol, checksum), (_digest(test), record.run_id))
        if ids != _digest(test):
            yield Difference(path, "predictions.test.ids", "other samples, another order or other targets", f"as in {first}, on the same copy of the data")


def compare_values(stored: Any, recomputed: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Leaves in which two JSON values differ: (path of keys, stored, recomputed); floats may differ by 1e-9."""
    if isinstance(stored, Mapping) and isinstance(recomputed, Mapping):
        for name in sorted(stored.keys() | recomputed.keys()):
            inner = f"{key}.{name}"
            if name not in stored:
                yield inner, None, recomputed[name]
            elif name not in recomputed:
                yield inner, stored[name], None
            else:
                yield from compare_values(stored[name], recomputed[name], inner)
    elif isinstance(stored, list) and isinstance(recomputed, list) and len(stored) == len(recomputed):
        for i, pair in enumerate(zip(stored, recomputed, strict=True)):
            yield from compare_values(*pair, f"{key}.{i}")
    elif not _equal(stored, recomputed):
        yield key, stored, recomputed


def _entries(store: Store, protocol: str | None) -> Iterator[tuple[Path, Record | RecordError]]:
    """Every record with its file, those of grids one by one; the error where a file cannot be read."""
    for path in store.files(protocol):
        try:
            yield path, _load(path)
        except RecordError as error:
            yield path, error
    for path in store.grids(protocol):
        try:
            yield from ((path.with_name(f"{path.name}#{record.run_id}"), record) for record in load_grid(path))
        except RecordError as error:
            yield path, error


def _load(path: Path) -> Record:
    record = Record.load(path)
    if record.protocol != path.parent.parent.name or record.run_id != path.stem:
        problem = f"the record says it is {record.protocol}/{record.run_id}."
        raise RecordError(problem)
    return record


def _split(
    store: Store, record: Record, path: Path, protocol: Protocol, split: str, metrics: Mapping[str, Any]
) -> Generator[Difference, None, Predictions | None]:
    """Differences of one split; returns its predictions where they could be read and scored."""
    try:
        predictions = store.predictions(record, split)
        if len(predictions) != record.predictions[split].n:
            yield Difference(path, f"predictions.{split}.n", record.predictions[split].n, len(predictions))
        recomputed = score(protocol, predictions)
    except FerBenchError as error:
        yield Difference(path, f"predictions.{split}", record.predictions[split].file if split in record.predictions else None, error.problem)
        return None
    name = "metrics" if split == "test" else "validation_metrics"
    for difference in compare_values(metrics, recomputed, name):
        yield Difference(path, *difference)
    return predictions


def _outcomes(path: Path, text: str, right: npt.NDArray[np.bool_]) -> Iterator[Difference]:
    try:
        stored = unpack_outcomes(text, len(right))
    except (RecordError, binascii.Error) as error:
        yield Difference(path, "outcomes", None, f"cannot be read: {error}")
        return
    wrong = int((stored != right).sum())
    if wrong:
        yield Difference(path, "outcomes", f"{int(stored.sum())} right", f"{int(right.sum())} right, {wrong} bits differ")


def _on_train(stated: Mapping[str, Any], path: Path) -> Iterator[Difference]:
    """The score on the training split: accuracy from its bits, CCC from its sums."""
    if "sums" in stated:
        yield from _ccc_on_train(stated, path)
        return
    key = "training.on_train.accuracy"
    try:
        accuracy = float(unpack_outcomes(stated["outcomes"], stated["n"]).mean())
    except (RecordError, binascii.Error, KeyError, TypeError) as error:
        yield Difference(path, key, stated.get("accuracy"), f"the outcomes cannot be read: {error}")
        return
    if not _equal(stated.get("accuracy"), accuracy):
        yield Difference(path, key, stated.get("accuracy"), accuracy)


def _ccc_on_train(stated: Mapping[str, Any], path: Path) -> Iterator[Difference]:
    key = "training.on_train.ccc"
    try:
        total = np.asarray(stated["sums"], dtype=np.float64)
        ccc, n = mean_ccc(total), total[:, 0]
    except (ValueError, TypeError, IndexError) as error:
        yield Difference(path, key, stated.get("ccc"), f"the sums cannot be read: {error}")
        return
    if not _equal(stated.get("ccc"), ccc):
        yield Difference(path, key, stated.get("ccc"), ccc)
    if not all(_equal(stated.get("n"), float(count)) for count in n):
        yield Difference(path, "training.on_train.n", stated.get("n"), n.tolist())


def _digest(predictions: Predictions) -> bytes:
    # Text of different widths (<U5, <U9) holds the same ids.
    return "\n".join(predictions.ids.tolist()).encode() + np.ascontiguousarray(predictions.targets).astype(np.float64).tobytes()


def _equal(stored: Any, recomputed: Any) -> bool:
    if isinstance(stored, bool) or isinstance(recomputed, bool):
        return stored is recomputed
    if isinstance(stored, int | float) and isinstance(recomputed, int | float):
        return math.isclose(stored, recomputed, rel_tol=0.0, abs_tol=TOLERANCE)
    return bool(stored == recomputed)


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if isinstance(value, float) or len(text) <= _LONGEST or " " in text else text[:_LONGEST] + "…"
