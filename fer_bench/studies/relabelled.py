"""A stored run, judged by other labels than its dataset's own: those of a crowd, next to the original ones on the same
images.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from fer_bench.data.cache import file_sha256
from fer_bench.data.label_file import match_ids, read_labels
from fer_bench.errors import BadDataError, SpecError
from fer_bench.predictions import Predictions
from fer_bench.protocols import relabelled
from fer_bench.results import provenance
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.record import scored
from fer_bench.scoring.score import score


def score_relabelled(store: Store, reference: str, path: Path) -> Record:
    """Score a run's stored test predictions against a label file, and write the record; nothing is predicted anew.

    Only the test images that the file names with a class of the task are scored. The record's ``data["labels"]`` says
    how many these are, on how many the two kinds of label agree, and what the run scores by the dataset's own labels on
    the very same images.

    Args:
        store: of the run, and of the new record.
        reference: a run of a task of classes, of any kind.
        path: the label file, ``id,label,confidence``.

    Returns:
        The record, under the protocol ``<protocol>-labels-<name of the file>``.

    Raises:
        SpecError: the run predicts values, or is itself one of relabelled predictions.
        MissingDataError, BadDataError: the file is missing, wrong, or of other images.
    """
    source = store.get(reference)
    if judged_by := source.data.get("judged_by"):
        problem = f"run {source.run_id} is judged by the labels of {judged_by['labels']} already."
        raise SpecError(problem, "Choose the run that it came from.")
    own = protocol_of(source)
    protocol = relabelled(own, path.stem)
    assert own.task.labels is not None
    predictions = store.predictions(source)
    at, labels = match_ids([str(i) for i in predictions.ids], read_labels(path, own.task.labels), path)
    known = labels >= 0
    at, labels = at[known], labels[known]
    if len(at) < 2:
        problem = (
            f"{path}: {len(at)} of its images are among the {len(predictions)} test images of {own.name} with a class"
            f" of {own.task.labels.name}."
        )
        raise BadDataError(problem, "Scores need two or more.")
    same = predictions.select(at)
    judged = Predictions(same.ids, labels, same.outputs, same.flags, same.groups)
    digest = file_sha256(path)
    by_own = score(own, same)
    agreement = float(np.mean(labels == same.targets))
    facts = {
        "labels": path.name,
        "sha256": digest,
        "n_test_named": len(at),
        "agreement_with_own_labels": agreement,
        "scores_by_own_labels": {
            "accuracy": by_own["accuracy"],
            "weighted_f1": by_own["weighted_f1"],
            "macro_f1": by_own["macro_f1"],
        },
    }
    draft = source.model_copy(
        update={
            "run_id": f"{source.run_id}-by-{digest[:8]}",
            "row": f"{source.row}-by-{digest[:8]}",
            "kind": "evaluated",
            "protocol": protocol.name,
            "protocol_version": protocol.version,
            "data": (
                source.data | {"judged_by": facts, "checksums": {"test": _copy(source, digest)}, "known_copy": None}
            ),
            "inputs": {},
            "code": provenance.code(),
            "predictions": {},
            "notes": [
                *source.notes,
                (
                    f"judged by {path.name} on {len(judged)} of {len(predictions)} test images; by the dataset's own"
                    f" labels on the same images accuracy is {by_own['accuracy']:.4f}; the two kinds of label agree on"
                    f" {agreement:.1%} of them"
                ),
            ],
        }
    )
    tested = {"test": judged}
    return store.put(scored(draft, protocol, tested), tested)


def _copy(source: Record, labels: str) -> str:
    """Identity of images and labels: on the copy that the protocol ranks, the labels' own says all."""
    if source.data.get("known_copy"):
        return labels[:16]
    return hashlib.sha256(f"{labels}|{(source.data.get('checksums') or {}).get('test', '')}".encode()).hexdigest()[:16]
