"""AffectNet (Mollahosseini et al. 2019): one index over both releases.

The old release lists its images in CSV files, the release of 2021 keeps four small ``.npy`` files next to every image.
Either is read once into plain arrays, kept in a cache, and filtered from there; images are decoded by the workers, not
here.

AffectNet has no public test set: its validation set is the test of the literature, and validation is held out from
train.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from fer_bench.data.splits import hold_out
from fer_bench.datasets.affectnet.index import raw_index
from fer_bench.datasets.affectnet.raw import RawIndex
from fer_bench.errors import BadDataError
from fer_bench.labels import FER8, LabelSet

AFFECTNET_CODES = (
    "neutral",
    "happy",
    "sad",
    "surprise",
    "fear",
    "disgust",
    "anger",
    "contempt",
    "none",
    "uncertain",
    "no-face",
)
NO_VALUE = -2.0
# Held out where a copy does not say what is train and what is validation.
TEST_SHARE = 0.2

Need = Literal["expression", "valence_arousal"]


@dataclass(frozen=True)
class AffectNet:
    """The usable rows of AffectNet, train first, in the order of the release.

    Args:
        release: "lists" (CSV files), "2021" (.npy files) or "folder" (.npy files, one folder for all images).
        root: the folder that ``paths`` are relative to.
        paths: shape (N,), image files relative to ``root``.
        ids: shape (N,), unique; "<folder>/<file>" of the lists, "train/<id>" or "val/<id>" of 2021.
        split: shape (N,), "train", "validation" (held out from train) or "test" (the release's validation).
        expression: shape (N,), class id in the label set asked for, -1 where there is none.
        valence: shape (N,), in [-1, 1], NaN where there is none.
        arousal: shape (N,), in [-1, 1], NaN where there is none.
        boxes: shape (N, 4), x, y, width, height in pixels, x and y clipped to 0; -1 where the release has none (2021:
            faces are cropped).
        landmarks: shape (N, 68, 2), x and y in pixels, NaN where there are none.
        dropped: reason to number of rows left out.
        clipped: number of kept boxes that began outside the image.
        codes: shape (N,), AffectNet's own expression code, -1 where missing; 8 is "none".
        lacking: what the copy lacks of the release, in words; empty for a whole one.
    """

    release: str
    root: Path
    paths: npt.NDArray[np.str_]
    ids: npt.NDArray[np.str_]
    split: npt.NDArray[np.str_]
    expression: npt.NDArray[np.int64]
    valence: npt.NDArray[np.float32]
    arousal: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    dropped: dict[str, int]
    clipped: int
    codes: npt.NDArray[np.int64]
    lacking: str = ""

    def __len__(self) -> int:
        return len(self.ids)


def read_affectnet(
    root: Path,
    label_set: LabelSet = FER8,
    need: Collection[Need] = ("expression", "valence_arousal"),
    validation: float = 0.05,
    seed: int = 0,
    cache: Path | None = None,
) -> AffectNet:
    """Read either release of AffectNet into arrays.

    Args:
        root: folder that holds the release, or its parent.
        label_set: FER8, or FER7 (contempt is then dropped and counted).
        need: labels that a row must have to be kept.
        validation: share of train that becomes validation, of each class at least one image, 0 (none) to 1.
        seed: chooses which rows become validation.
        cache: folder for the index; without it the index is built anew each time.

    Returns:
        The rows kept, and the counts of those left out by reason.

    Raises:
        MissingDataError: neither release is found under ``root``.
        BadDataError: a file does not hold what the format says, or nothing usable is left.
    """
    raw = raw_index(root, cache)
    expression, reasons = _drop_reasons(raw, label_set, frozenset(need))
    boxes, clipped, empty = _clip(raw.boxes)
    reasons[(reasons == "") & empty] = "empty box"
    keep = reasons == ""
    dropped = dict(raw.missing)
    for reason, count in zip(*np.unique(reasons[~keep], return_counts=True), strict=True):
        dropped[str(reason)] = dropped.get(str(reason), 0) + int(count)
    if not keep.any():
        problem = f"no usable row among the {len(raw.ids)} of {raw.root}: {dropped}."
        raise BadDataError(problem, "Check that the folder holds a complete release.")
    expression, ids, is_train = expression[keep], raw.ids[keep], raw.is_train[keep]
    split = np.where(is_train, "train", "test").astype("<U10")
    if raw.release == "folder" and is_train.all():
        split[hold_out(ids, expression, TEST_SHARE, salt="test", seed=seed)] = "test"
        is_train = split == "train"
    if validation > 0 and is_train.any():
        held_out = hold_out(ids[is_train], expression[is_train], validation, seed=seed)
        split[np.flatnonzero(is_train)[held_out]] = "validation"
    return AffectNet(
        release=raw.release,
        root=raw.root,
        paths=raw.paths[keep],
        ids=ids,
        split=split,
        expression=expression,
        valence=_affect(raw.valence[keep]),
        arousal=_affect(raw.arousal[keep]),
        boxes=boxes[keep],
        landmarks=raw.landmarks[keep],
        dropped=dropped,
        clipped=int((clipped & keep).sum()),
        codes=raw.expression[keep],
        lacking=_lacking(raw, validation),
    )


def _lacking(raw: RawIndex, validation: float) -> str:
    has_train, has_test = bool(raw.is_train.any()), bool((~raw.is_train).any())
    if has_train and has_test:
        return ""
    if raw.release == "folder" and has_train:
        return (
            "one images/ and one annotations/ folder: nothing says what is of the release's train set and what of its"
            f" validation set, so train, validation and test are missing; {TEST_SHARE:.0%} are held out as test and"
            f" {validation:.0%} of the rest as validation by a hash of the ids, and the scores are not those of"
            " AffectNet's own test images"
        )
    if has_test:
        return "the release's validation set alone, which is the test set: train and validation are missing"
    return "the release's train set alone: test is missing"


def _drop_reasons(
    raw: RawIndex, label_set: LabelSet, need: frozenset[Need]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.str_]]:
    """Class ids of the label set, and for each row why it cannot be used ("" if it can)."""
    found = [label_set.find(name) for name in AFFECTNET_CODES]
    to_set = np.array([-1 if i is None else i for i in found], dtype=np.int64)
    known = (raw.expression >= 0) & (raw.expression < len(AFFECTNET_CODES))
    expression = np.where(known, to_set[np.where(known, raw.expression, 0)], -1)
    reasons = np.full(len(raw.ids), "", dtype="<U40")
    if "expression" in need:
        for code, name in enumerate(AFFECTNET_CODES):
            reasons[(raw.expression == code) & (expression < 0)] = f"expression {name}"
        reasons[~known] = "expression code unknown"
    if "valence_arousal" in need:
        without = np.isnan(_affect(raw.valence)) | np.isnan(_affect(raw.arousal))
        coded = (raw.valence == NO_VALUE) | (raw.arousal == NO_VALUE)
        reasons[(reasons == "") & without & coded] = "no valence or arousal (-2)"
        reasons[(reasons == "") & without] = "valence or arousal outside [-1, 1]"
    return expression, reasons


def _affect(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """NaN for everything that is not in [-1, 1]; a rounding error of a float32 is forgiven."""
    usable = np.abs(values) <= 1 + 1e-5
    return np.where(usable, np.clip(values, -1, 1), np.nan).astype(np.float32)


def _clip(
    boxes: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Clip boxes at the left and upper border: boxes, which were clipped, which are empty. Rows of -1 mean "no box" and
    stay.
    """
    none = (boxes == -1).all(axis=1)
    start = np.maximum(boxes[:, :2], 0)
    size = boxes[:, 2:] - (start - boxes[:, :2])
    clipped = (boxes[:, :2] < 0).any(axis=1) & ~none
    empty = ~(size > 0).all(axis=1) & ~none
    out = np.concatenate([start, size], axis=1)
    out[none] = -1
    return out.astype(np.float32), clipped, empty
