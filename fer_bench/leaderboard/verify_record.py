"""Recompute all that follows from the predictions of one record."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.ensembles.human_baseline import agreement_of
from fer_bench.ensembles.recompute import recompute_from_members
from fer_bench.errors import FerBenchError, RecordError
from fer_bench.leaderboard.checked import Order
from fer_bench.leaderboard.differences import Difference, compare_values, equal_values
from fer_bench.metrics import table
from fer_bench.npz import RowCountError
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.results import corruptions, reproductions
from fer_bench.results.newer import is_newer_version
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record, unpack_outcomes
from fer_bench.results.store import Store
from fer_bench.scoring.corrupted import score_corrupted
from fer_bench.scoring.known import known_part
from fer_bench.scoring.moments import mean_ccc
from fer_bench.scoring.newer import expected, newer_than, without
from fer_bench.scoring.outside import not_here
from fer_bench.scoring.record import scores_on_train
from fer_bench.scoring.score import correct, resampled_by_sample, score


def verify_record(store: Store, record: Record, path: Path, orders: list[Order] | None = None) -> Iterator[Difference]:
    """Differences of one finished record.

    Args:
        store: where its predictions are.
        record: the record.
        path: its file.
        orders: is told which test samples it is of, which only records with the same names of files on the same copy of
            the data share.
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
        yield from (
            Difference(path, "members", "predictions", finding) for finding in recompute_from_members(store, record)
        )
    yield from _lost_caveats(store, record, path)
    if "votes" in record.predictions and protocol.task.labels is not None:
        yield from _agreement(store, record, path, len(protocol.task.labels))
    checksum = (record.data.get("checksums") or {}).get("test", "")
    if not isinstance(checksum, str):
        yield Difference(path, "data.checksums.test", checksum, "text")
    elif orders is not None and checksum:
        # Files with other names on another machine are the same copy, but only records with the same names can be
        # compared sample by sample.
        same = (str(record.data.get(key) or "") for key in ("names", "order"))
        orders.append(Order(str(path), record.run_id, "|".join([record.protocol, *same, checksum]), _digest(test)))


def _lost_caveats(store: Store, record: Record, path: Path) -> Iterator[Difference]:
    """Caveats of folds or members that the record over them lacks."""
    parts = [(record.model, str(fold)) for fold in record.data.get("folds") or ()]
    if record.kind == "ensemble":
        parts += [(str(one["model"]), str(one["run_id"])) for one in record.training["members"]]
    for model, run_id in parts:
        part = store.find(record.protocol, model, run_id)
        lost = [caveat for caveat in (part.caveats if part is not None else ()) if caveat not in record.caveats]
        if lost:
            yield Difference(path, "caveats", "; ".join(record.caveats) or None, f"also {'; '.join(lost)}, as {run_id}")
            return


def _agreement(store: Store, record: Record, path: Path, n_classes: int) -> Iterator[Difference]:
    """Differences of how far people agree, which follows from their votes; of its metrics some are newer than it, or
    those of plugins.
    """
    stored = record.training.get("agreement") or {}
    recomputed = agreement_of(store.predictions(record, "votes"), n_classes)
    others = not_here(record)
    stated = without(stored, others)
    if is_newer_version(record.code.get("version")):
        stated = _shared(stated, recomputed)
    wanted = without(expected(recomputed, stored, [metric.name for metric in table()]), others)
    for difference in compare_values(stated, wanted, "training.agreement"):
        yield Difference(path, *difference)


def _shared(stated: Mapping[str, Any], recomputed: Mapping[str, Any]) -> dict[str, Any]:
    """What is stated of all that this version computes, at any depth."""
    return {
        name: _shared(value, recomputed[name]) if isinstance(value, Mapping) else value
        for name, value in stated.items()
        if name in recomputed
    }


def verify_reproduced(store: Store, path: Path) -> Iterator[Difference]:
    """Differences of what came of training a record again: its score follows from its predictions."""
    found = reproductions.Reproduction.load(path, strict=True)
    predictions = reproductions.load_predictions(store, found)
    record = store.find(found.protocol, found.model, found.run_id)
    # One of a record that was trained anew since is of no use, and no error.
    if predictions is None or record is None or not reproductions.is_of(found, record):
        return
    recomputed = score(protocol_of(record), predictions).get(found.metric)
    if not equal_values(found.score, recomputed):
        yield Difference(path, found.metric, found.score, recomputed)
    recorded = store.predictions(record)
    if not (np.array_equal(recorded.ids, predictions.ids) and np.array_equal(recorded.targets, predictions.targets)):
        yield Difference(path, "predictions", None, "other samples or labels than the record's")
    identical = np.array_equal(recorded.outputs, predictions.outputs, equal_nan=True)
    if identical != found.identical:
        yield Difference(path, "identical", found.identical, identical)


def verify_corrupted(store: Store, path: Path) -> Iterator[Difference]:
    """Differences of scores on corrupted images: they follow from the packed answers and the predictions of the record,
    which must be the ones they name.
    """
    found = corruptions.Corrupted.load(path, strict=True)
    record = store.find(found.protocol, found.model, found.run_id)
    if record is None:
        yield Difference(path, "run_id", found.run_id, "there is no such record; delete the file")
        return
    if not corruptions.is_of(found, record):
        what = (
            "made with another training of this run, or other corruptions: delete it, and give `fer-bench evaluate RUN"
            " --corruptions` again"
        )
        yield Difference(path, "of", found.of, what)
        return
    # A mean over a subset of the corruptions would be consistent with its answers too.
    for name in sorted(
        corruptions.TITLES.keys() - found.answers.keys() - (found.left_out.keys() & corruptions.NEED_FACES)
    ):
        yield Difference(
            path, f"answers.{name}", None, "all corruptions, save those of eyes and mouth where there are no faces"
        )
    for name in sorted(found.answers.keys() - corruptions.TITLES.keys()):
        yield Difference(path, f"answers.{name}", name, "no corruption of this version")
    protocol, clean = protocol_of(record), store.predictions(record)
    values = protocol.task.labels is None
    answers = corruptions.unpack_all(found, len(clean), clean.outputs.shape[1] if values else 0)
    recomputed = score_corrupted(protocol, clean, answers)
    stated = {name: getattr(found, name) for name in recomputed}
    stated["intervals"] = {name: None if pair is None else list(pair) for name, pair in found.intervals.items()}
    for difference in compare_values(stated, recomputed, "corrupted"):
        yield Difference(path, *difference)


def _split(
    store: Store, record: Record, path: Path, protocol: Protocol, split: str, metrics: Mapping[str, Any]
) -> Generator[Difference, None, Predictions | None]:
    """Differences of one split; returns its predictions where they could be read and scored."""
    try:
        predictions = store.predictions(record, split)
        recomputed = score(protocol, predictions, by_sample=resampled_by_sample(metrics))
    except RowCountError as error:
        yield Difference(path, f"predictions.{split}.n", record.predictions[split].n, error.problem)
        return None
    except FerBenchError as error:
        yield Difference(
            path,
            f"predictions.{split}",
            record.predictions[split].file if split in record.predictions else None,
            error.problem,
        )
        return None
    name = "metrics" if split == "test" else "validation_metrics"
    # Additional metrics of newer versions are counted; in a record of this version or an older one they are an error.
    stated = known_part(metrics) if is_newer_version(record.code.get("version")) else metrics
    others = not_here(record)
    stated, wanted = without(stated, others), expected(recomputed, metrics, newer_than(record))
    for difference in compare_values(stated, without(wanted, others), name):
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
        yield Difference(
            path, "outcomes", f"{int(stored.sum())} right", f"{int(right.sum())} right, {wrong} bits differ"
        )


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
    if not equal_values(stated.get("accuracy"), accuracy):
        yield Difference(path, key, stated.get("accuracy"), accuracy)
    if "confusion" in stated:
        yield from _classes_on_train(stated, accuracy, path)


def _classes_on_train(stated: Mapping[str, Any], accuracy: float, path: Path) -> Iterator[Difference]:
    """The scores of the training split that follow from its confusion matrix, which must fit the outcomes."""
    key = "training.on_train"
    try:
        confusion = np.asarray(stated["confusion"], dtype=np.int64)
        found = scores_on_train(confusion)
        right = float(np.trace(confusion[:, :-1]) / max(confusion.sum(), 1))
    except (FerBenchError, ValueError, TypeError, IndexError) as error:
        yield Difference(path, f"{key}.confusion", None, f"cannot be read: {error}")
        return
    if not equal_values(right, accuracy) or not equal_values(stated["n"], int(confusion.sum())):
        yield Difference(path, f"{key}.confusion", f"{int(confusion.sum())} samples, accuracy {right}", accuracy)
    for difference in compare_values({name: stated.get(name) for name in found}, found, key):
        yield Difference(path, *difference)


def _ccc_on_train(stated: Mapping[str, Any], path: Path) -> Iterator[Difference]:
    key = "training.on_train.ccc"
    try:
        total = np.asarray(stated["sums"], dtype=np.float64)
        ccc, n = mean_ccc(total), total[:, 0]
    except (ValueError, TypeError, IndexError) as error:
        yield Difference(path, key, stated.get("ccc"), f"the sums cannot be read: {error}")
        return
    if not equal_values(stated.get("ccc"), ccc):
        yield Difference(path, key, stated.get("ccc"), ccc)
    if not all(equal_values(stated.get("n"), float(count)) for count in n):
        yield Difference(path, "training.on_train.n", stated.get("n"), n.tolist())


def _digest(predictions: Predictions) -> str:
    # Text of different widths (<U5, <U9) holds the same ids.
    content = (
        "\n".join(predictions.ids.tolist()).encode()
        + np.ascontiguousarray(predictions.targets).astype(np.float64).tobytes()
    )
    return hashlib.sha256(content).hexdigest()
