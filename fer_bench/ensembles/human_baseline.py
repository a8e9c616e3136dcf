"""People as rows of a leaderboard: the taggers of FER+.

FER+ gives ten votes per face, but not whose they are. So the votes of each image are assigned, by a seeded shuffle, to
ten *seats*, one vote each, and a seat is a record: its output for an image is the vote in that seat, 1 for the emotion
chosen; a vote for "unknown" or "not a face" is no answer, which counts as wrong, as it would for a model. So people are
scored by the very function, on the very targets and images, that models are scored by; ``verify`` recomputes each seat
from its predictions; paired tests work; and since every vote sits in exactly one seat, the row's mean accuracy *is* the
expected accuracy of a vote drawn at random: the assignment does not change it. A seat is no person, though: the
deviation between seats is the randomness of the assignment, not how much people differ.

Two things flatter people there, and the record says both.
*The vote is part of its own target.* The leave-one-out expectation, one random vote against the majority of the other
nine, is computed exactly (:func:`~fer_bench.scoring.agreement.leave_one_out_confusion`) from the vote counts, which are
stored as a third file, ``votes``; it cannot be the row itself, because the others' majority is another target,
sometimes a tie, than the one that every other row of the protocol is judged by. *The images were chosen by agreement.*
The protocol keeps an image only if more than half of the votes that count agree on one emotion, so the faces that
people disagree about are gone. The agreement over all test images is given next to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.errors import BadDataError, RecordError
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.results import provenance
from fer_bench.results.inputs import data_inputs, digest
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.agreement import fleiss_kappa, krippendorff_alpha_from_counts, leave_one_out_confusion
from fer_bench.scoring.classification import scores_from_confusion
from fer_bench.scoring.record import scored

MODEL = "taggers"
SEED = 0
_KEPT = "kept"


@dataclass(frozen=True)
class TaggedSplit:
    """Votes of one split, all of its images.

    Args:
        ids: shape (N,).
        votes: shape (N, K), integers; the first C columns are the protocol's classes, the rest are answers that
            name none of them.
        targets: shape (N,), class ids; -1 for an image that the protocol leaves out.
        flags: as of :class:`~fer_bench.predictions.Predictions`.
    """

    ids: npt.NDArray[np.str_]
    votes: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    flags: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)


def deal(votes: npt.NDArray[np.int64], seed: int = SEED) -> npt.NDArray[np.int64]:
    """Assign each image's votes to seats.

    Args:
        votes: shape (N, K), every row with the same sum S.
        seed: of the shuffle; NumPy froze its random stream.

    Returns:
        Shape (N, S): the column that each seat's vote is for. Every row holds each column as often as it got votes.

    Raises:
        BadDataError: images have different numbers of votes.
    """
    sums = np.unique(votes.sum(axis=1))
    if len(sums) != 1 or sums[0] < 2:
        problem = (
            f"images have {', '.join(map(str, sums[:5]))} votes; seats need the same number, at least two, for every"
            " image."
        )
        raise BadDataError(problem, "Use the official file of votes.")
    n_images, n_columns = votes.shape
    in_order = np.repeat(np.tile(np.arange(n_columns), n_images), votes.ravel()).reshape(n_images, int(sums[0]))
    places = np.argsort(np.random.RandomState(seed).random_sample(in_order.shape), axis=1, kind="stable")
    return np.take_along_axis(in_order, places, axis=1)


def seat_outputs(columns: npt.NDArray[np.int64], n_classes: int) -> npt.NDArray[np.float32]:
    """One seat's votes (N,) as outputs (N, C): 1 for the class, a row of NaN for a vote that names none of them."""
    outputs = np.eye(n_classes, dtype=np.float32)[np.minimum(columns, n_classes - 1)]
    outputs[columns >= n_classes] = np.nan
    return outputs


def agreement(votes: npt.NDArray[np.int64], n_classes: int) -> dict[str, Any]:
    """How far people agree on some images.

    Args:
        votes: shape (N, K).
        n_classes: C; the remaining columns are answers that name no class, and count as separate answers.

    Returns:
        n; leave_one_out: expected accuracy of one random vote against the majority of the others, ties shared;
        leave_one_out_scores: accuracy, macro-F1, ... of that expected confusion; leave_one_out_emotions: as the first,
            among the votes for the C classes alone; krippendorff_alpha; fleiss_kappa.
    """
    confusion = leave_one_out_confusion(votes)
    scores = scores_from_confusion(confusion)
    among = scores_from_confusion(leave_one_out_confusion(votes[:, :n_classes]))
    alpha, kappa = krippendorff_alpha_from_counts(votes, "nominal"), fleiss_kappa(votes)
    return {
        "n": len(votes),
        "leave_one_out": scores["accuracy"],
        "leave_one_out_scores": scores,
        "leave_one_out_emotions": among["accuracy"],
        "krippendorff_alpha": None if np.isnan(alpha) else alpha,
        "fleiss_kappa": None if np.isnan(kappa) else kappa,
    }


def agreement_of(votes: Predictions, n_classes: int) -> dict[str, Any]:
    """The agreement over the kept and over all images, from the stored ``votes`` file; what ``training.agreement`` of a
    record must equal.
    """
    counts = np.rint(votes.outputs).astype(np.int64)
    return {
        "test_images_kept": agreement(counts[votes.flags[_KEPT]], n_classes),
        "test_images_all": agreement(counts, n_classes),
    }


def build_human_rows(
    store: Store, protocol: Protocol, splits: Mapping[str, TaggedSplit], data: Mapping[str, Any], seed: int = SEED
) -> list[Record]:
    """Write the records of all seats.

    Args:
        store: where they go.
        protocol: of classes, by whose targets they are scored.
        splits: ``validation`` and ``test``.
        data: facts of the copy of the data, with ``checksums``, as trained records have them.
        seed: of the assignment.

    Returns:
        One record per seat, as written; together they are one row.

    Raises:
        RecordError: the protocol is not of classes.
        BadDataError: images have different numbers of votes, or none is kept.
    """
    if protocol.task.labels is None:
        problem = f"protocol {protocol.name} is not of classes; votes cannot be scored under it."
        raise RecordError(problem)
    n_classes = len(protocol.task.labels)
    kept = {name: np.asarray(split.targets) >= 0 for name, split in splits.items()}
    for name, mask in kept.items():
        if not mask.any():
            problem = f"{protocol.name}: no {name} image has a label."
            raise BadDataError(problem)
    # All images are assigned, so that leaving some out changes nobody's vote.
    seats = {name: deal(split.votes, seed) for name, split in splits.items()}
    test = splits["test"]
    votes = Predictions(test.ids, test.targets, test.votes.astype(np.float32), {_KEPT: kept["test"], **test.flags})
    found = agreement_of(votes, n_classes)
    draft = _draft(protocol, data, found, seed)
    done = []
    for seat in range(min(dealt.shape[1] for dealt in seats.values())):
        predictions = {
            name: _seat(splits[name], kept[name], dealt[:, seat], n_classes) for name, dealt in seats.items()
        }
        one = draft.model_copy(update={"run_id": f"{draft.row}-s{seat}", "seed": seat})
        done.append(store.put(scored(one, protocol, predictions), predictions | {"votes": votes}))
    return done


def _seat(
    split: TaggedSplit, kept: npt.NDArray[np.bool_], columns: npt.NDArray[np.int64], n_classes: int
) -> Predictions:
    return Predictions(split.ids, split.targets, seat_outputs(columns, n_classes), split.flags).select(kept)


def _draft(protocol: Protocol, data: Mapping[str, Any], found: Mapping[str, Any], seed: int) -> Record:
    kept, everything = found["test_images_kept"], found["test_images_all"]
    identity = {"model": MODEL, "protocol": protocol.name, "version": protocol.version, "deal": seed}
    row = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
    if data.get("known_copy") is False:
        row += "-x" + digest(data_inputs(data))
    return Record(
        run_id=row,
        row=row,
        kind="human",
        protocol=protocol.name,
        protocol_version=protocol.version,
        task=protocol.task.name,
        dataset=protocol.dataset,
        model=MODEL,
        recipe="one vote each",
        spec={"deal": seed},
        data=dict(data),
        code=provenance.code(),
        hardware=provenance.machine(),
        training={"agreement": dict(found)},
        caveats=[
            (
                "each vote is part of its own target; against the majority of the others"
                f" {_percent(kept['leave_one_out'])} agree"
            ),
            (
                f"only images on which most taggers agree are scored; over all {everything['n']} test images"
                f" {_percent(everything['leave_one_out'])} agree with the majority of the others"
            ),
        ],
        notes=[
            (
                "the ± between seats comes from assigning anonymous votes at random, not from how much people differ;"
                " the mean accuracy does not depend on the assignment"
            ),
            (
                f"the protocol keeps {kept['n']} of {everything['n']} test images: those with a majority for an"
                " emotion, on which people agree by construction"
            ),
            (
                "a vote for 'unknown' or 'not a face' is no answer and counts as wrong; outputs are certain votes, so"
                " NLL and ECE say little"
            ),
        ],
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"
