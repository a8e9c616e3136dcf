"""AffectNet as a datamodule: expressions (fer8, fer7) or valence and arousal; images are decoded by the loader's
workers.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
import numpy.typing as npt

from fer_bench import paths
from fer_bench.data import cache
from fer_bench.data.datamodule import VA, AffectDataModule
from fer_bench.data.images import FileImages
from fer_bench.data.samples import SPLITS, Samples
from fer_bench.datasets.affectnet.raw import COLUMNS
from fer_bench.datasets.affectnet.reader import AFFECTNET_CODES, AffectNet, read_affectnet
from fer_bench.errors import MissingDataError, SpecError
from fer_bench.labels import FER7, FER8
from fer_bench.protocols.affectnet import AffectNetOptions

SIDE = 224
NONE = AFFECTNET_CODES.index("none")
_LAYOUTS = {
    "lists": "image lists (CSV)",
    "2021": "release of 2021 (.npy)",
    "folder": "one images/ and one annotations/ folder (.npy)",
}
_EXPRESSIONS = {"fer8": FER8, "fer7": FER7}


class AffectNetDataModule(AffectDataModule):
    """AffectNet, either release; its options are :class:`fer_bench.protocols.affectnet.AffectNetOptions`."""

    dataset = "affectnet"

    def read(self) -> Samples:
        """Index the release; images are decoded when they are asked for."""
        options = self.chosen(AffectNetOptions)
        return read_affectnet_samples(
            self.data_dir,
            self.task,
            size=self.image_size or SIDE,
            validation=options.validation,
            reduced=options.reduced,
        )


def read_affectnet_samples(
    data_dir: str | None, task: str, *, size: int = SIDE, validation: float = 0.05, reduced: bool = False
) -> Samples:
    """Read the rows of AffectNet that have a label of a task.

    Args:
        data_dir: the data root or the dataset's folder; None: the usual places.
        task: ``fer8``, ``fer7``, ``va``, ``valence`` or ``arousal``.
        size: side of the images; the old release's face boxes are cut out first.
        validation: share of train that becomes validation.
        reduced: decode at reduced scale where the images are large enough.

    Returns:
        Samples with the target ``fer8``, ``fer7`` or ``va``. The checksum of a split is over ids, labels, face boxes
        and the content of the image files: 290,000 files are read once for it, not decoded.

    Raises:
        SpecError: another task.
        MissingDataError: neither release is there.
    """
    if task not in (*_EXPRESSIONS, "va", *VA):
        problem = f"dataset 'affectnet' has no labels for the task {task!r}."
        raise SpecError(problem, f"It has {', '.join((*_EXPRESSIONS, 'va', *VA))}.")
    index = _find(data_dir, task, validation)
    targets: dict[str, npt.NDArray[np.generic]] = (
        {task: index.expression}
        if task in _EXPRESSIONS
        else {"va": np.stack([index.valence, index.arousal], axis=1).astype(np.float32)}
    )
    (labels,) = targets.values()
    content = cache.file_digests(index.root, [index.root / str(path) for path in index.paths])
    left_out = [f"{count} left out: {reason}" for reason, count in sorted(index.dropped.items())]
    return Samples(
        ids=index.ids,
        images=FileImages(index.root, index.paths, size, _corners(index.boxes), contents=content, reduced=reduced),
        split=index.split,
        targets=targets,
        layout=_LAYOUTS[index.release],
        columns={"landmarks": index.landmarks},
        notes=[
            *([index.lacking] if index.lacking else []),
            *_without_expression(index, task),
            *left_out,
            *([f"{index.clipped} face boxes began outside their image and were clipped"] if index.clipped else []),
        ],
        checksums={
            split: _checksum(index.ids[at], labels[at], index.boxes[at], content[at])
            for split in SPLITS
            for at in [index.split == split]
        },
    )


def _without_expression(index: AffectNet, task: str) -> list[str]:
    """Whether the test of values holds images that have no expression."""
    if task in _EXPRESSIONS:
        return []
    codes = index.codes[index.split == "test"]
    others = ", ".join(
        f"{(codes == code).sum()} of code {code} ({AFFECTNET_CODES[code]})" for code in (9, 10) if (codes == code).any()
    )
    return [
        f"{(codes == NONE).sum()} of the {len(codes)} test images have the expression code {NONE} (none) and valid"
        f" valence and arousal: they are in the test of {task}" + (f"; so are {others}" if others else "")
    ]


def _find(data_dir: str | None, task: str, validation: float) -> AffectNet:
    label_set = _EXPRESSIONS.get(task, FER8)
    need: tuple[Literal["expression", "valence_arousal"], ...] = (
        ("expression",) if task in _EXPRESSIONS else ("valence_arousal",)
    )
    folders = [place for place in cache.candidates("affectnet", data_dir) if place.is_dir()]
    for place in folders:
        try:
            return read_affectnet(
                place, label_set, need=need, validation=validation, cache=paths.cache_dir() / "affectnet"
            )
        except MissingDataError as error:
            missing = error
            if "none of the" in error.problem:
                raise
    looked_for = (
        f"Manually_Annotated_file_lists/training.csv ({', '.join(COLUMNS[:1])}, ...)",
        "train_set/images and train_set/annotations",
        "images/ and annotations/",
    )
    raise cache.missing("affectnet", looked_for, cache.candidates("affectnet", data_dir)) from (
        missing if folders else None
    )


def _corners(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """x, y, width, height to left, top, right, bottom; rows of -1 stay."""
    none = (boxes == -1).all(axis=1)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    corners[none] = -1
    return corners.astype(np.float32)


def _checksum(ids: npt.NDArray[np.str_], *columns: npt.NDArray[np.generic]) -> str:
    order = np.argsort(ids, kind="stable")
    digest = hashlib.sha256("\n".join(ids[order].tolist()).encode())
    for column in columns:
        digest.update(np.ascontiguousarray(column[order]).tobytes())
    return digest.hexdigest()[:16]
