"""Attributes of samples by which scores can be grouped: what a dataset says of them, and what their images and labels
show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.data.samples import ATTRIBUTE, SEVERAL, Images, Samples
from fer_bench.errors import SpecError
from fer_bench.faces.layout import find_landmarks
from fer_bench.protocols import VARIANTS, info_of

Text = npt.NDArray[np.str_]
Float = npt.NDArray[np.float64]
# Columns that are no attribute of a sample, and what is known from predictions alone.
_NONE = frozenset({"row", "duplicate"})
_MOST_VALUES = 12
# What folds keep together: whom or what a number stands for there, it is no amount. (The number of a frame is one.)
_NAMES = frozenset(VARIANTS) - {"frame"}
EMPTY = "(empty)"
_THIRDS = ("low", "middle", "high")
# iBUG's numbers of the tip of the nose and of the outer corners of the eyes.
_NOSE, _LEFT, _RIGHT = 30, 36, 45


@dataclass(frozen=True)
class Attribute:
    """A division of samples into groups.

    Args:
        name: of the attribute.
        groups: shape (N,), each sample's; of one that is in several groups their names, with ``SEVERAL`` between them.
        order: groups as they are listed; those that are not in it follow by name.
        about: how they were made.
        by_class: whether the true class decides the group: then a group's accuracy is its recall, and other scores mean
            nothing.
    """

    name: str
    groups: Text
    order: tuple[str, ...] = ()
    about: str = ""
    by_class: bool = False

    @property
    def names(self) -> list[str]:
        """Groups that have a sample, in their order."""
        there = sorted({name for groups in np.unique(self.groups).tolist() for name in groups.split(SEVERAL)})
        return [name for name in self.order if name in there] + [name for name in there if name not in self.order]

    @property
    def members(self) -> dict[str, npt.NDArray[np.int64]]:
        """Positions of the samples of each group, in the order of the groups."""
        kinds, kind_of = np.unique(self.groups, return_inverse=True)
        of_kind = [set(groups.split(SEVERAL)) for groups in kinds.tolist()]
        return {name: np.flatnonzero(np.array([name in kind for kind in of_kind])[kind_of]) for name in self.names}


def sharpness(image: npt.NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of the grey image (Pech-Pacheco et al. 2000)."""
    return float(cv2.Laplacian(_grey(image), cv2.CV_64F).var())


def brightness(image: npt.NDArray[np.uint8]) -> float:
    """Mean of the grey image, 0 to 255."""
    return float(_grey(image).mean())


def contrast(image: npt.NDArray[np.uint8]) -> float:
    """Standard deviation of the grey image, in grey levels."""
    return float(_grey(image).std())


QUALITIES: dict[str, Callable[[npt.NDArray[np.uint8]], float]] = {
    "sharpness": sharpness,
    "brightness": brightness,
    "contrast": contrast,
}
_UNITS = {
    "sharpness": "variance of the Laplacian",
    "brightness": "mean grey level",
    "contrast": "standard deviation of the grey levels",
}
# What can be computed for any dataset; the first of them for classes only, the last for faces only.
COMPUTED = ("frequency", *QUALITIES, "pose")


def by_quality(name: str, images: Images) -> Attribute:
    """Thirds of images by one of :data:`QUALITIES`, measured on the images as they are given."""
    values = np.array([QUALITIES[name](np.asarray(images[i])) for i in range(len(images))])
    return thirds(name, values, f"thirds of the test images by {_UNITS[name]}, at the dataset's native size")


def by_pose(samples: Samples, dataset: str, data_dir: str | None) -> Attribute:
    """Thirds of faces by how far the head is turned to either side.

    It is read off the landmarks: how far the tip of the nose is from the middle between the outer corners of the eyes,
    along the line through these, as a share of their distance; 0 is a face from the front.

    Args:
        samples: faces.
        dataset: its name.
        data_dir: data root, for the landmarker.

    Raises:
        SpecError: scenes have no head.
        MissingDataError, MissingPackageError: the dataset has no landmarks, and the landmarker is not there.
    """
    if info_of(dataset).picture != "face":
        problem = f"--by pose: the images of {dataset} are {info_of(dataset).picture}s, not faces."
        raise SpecError(problem, "Choose another attribute; an unknown name lists them.")
    found = find_landmarks(samples, dataset, data_dir)
    points = found.points.astype(np.float64)
    across = points[:, _RIGHT] - points[:, _LEFT]
    with np.errstate(invalid="ignore", divide="ignore"):
        place = ((points[:, _NOSE] - points[:, _LEFT]) * across).sum(axis=1) / (across**2).sum(axis=1)
    source = "the dataset's landmarks" if found.source == "dataset" else "landmarks of the landmarker"
    about = (
        "thirds of the faces by how far the nose is from the middle of the eyes, as a share of the eyes' distance"
        f" (yaw), from {source}"
    )
    return thirds("pose", np.abs(place - 0.5), about, ("frontal", "half turned", "most turned"), "no face found")


def by_frequency(targets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], names: Sequence[str]) -> Attribute:
    """Rare, middle and frequent classes, a third of the classes each, by how many training samples they have.

    Args:
        targets: shape (N,), class ids.
        counts: shape (C,), training samples of each class.
        names: of the classes.
    """
    order = np.argsort(counts, kind="stable")
    kinds = ("rare", "middle", "frequent") if len(names) > 2 else ("rare", "frequent")
    label_of = np.empty(len(names), dtype=object)
    labels = []
    for kind, classes in zip(kinds, np.array_split(order, len(kinds)), strict=True):
        labels.append(f"{kind}: {', '.join(names[c] for c in classes)}")
        label_of[classes] = labels[-1]
    return Attribute(
        "frequency",
        label_of[targets].astype(str),
        tuple(labels),
        "classes by their number of training samples",
        by_class=True,
    )


def by_column(name: str, values: npt.NDArray[np.generic]) -> Attribute:
    """A column as a dataset has it; of more than 12 different numbers, their thirds, unless they stand for people,
    clips or photographs. A sample with several values is in the group of each.
    """
    text: Text = np.array([str(value).strip() or EMPTY for value in values.tolist()])
    numbers = _numbers(text)
    many = numbers is not None and len(np.unique(numbers[~np.isnan(numbers)])) > _MOST_VALUES
    if numbers is not None and many and name not in _NAMES:
        return thirds(name, numbers, f"thirds of the test samples by {name}", missing=EMPTY)
    order = () if numbers is None else tuple(dict.fromkeys(text[np.argsort(numbers, kind="stable")].tolist()))
    about = f"{name}, as the dataset says"
    if any(SEVERAL in groups for groups in text.tolist()):
        about += "; a sample with several is in the group of each"
    return Attribute(name, text, order, about)


def columns_of(samples: Samples) -> dict[str, npt.NDArray[np.generic]]:
    """The attributes that a dataset says of its samples, by name: its own columns, whatever else its table has, and the
    folders of its files.
    """
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, column in samples.columns.items():
        if column.ndim == 1 and name not in _NONE and not name.startswith(ATTRIBUTE):
            found[name] = column
    for name, column in samples.columns.items():
        if name.startswith(ATTRIBUTE):
            found.setdefault(name.removeprefix(ATTRIBUTE), column)
    folders = np.array([str(PurePosixPath(str(i)).parent) for i in samples.ids])
    if (folders != ".").any():
        found.setdefault("folder", folders)
    return found


def thirds(name: str, values: Float, about: str, names: Sequence[str] = _THIRDS, missing: str = EMPTY) -> Attribute:
    """Thirds of samples by a number; NaN is a separate group. Equal numbers are never parted, so thirds may differ in
    size.
    """
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, [1 / 3, 2 / 3]).tolist() if len(known) else (0.0, 0.0)
    shown = [f"{names[0]} (to {_limit(low)})", f"{names[1]} (to {_limit(high)})", f"{names[2]} (above)"]
    groups = np.where(
        np.isnan(values), missing, np.where(values <= low, shown[0], np.where(values <= high, shown[1], shown[2]))
    )
    return Attribute(name, groups.astype(str), (*shown, missing), about)


def _limit(value: float) -> str:
    # Whole digits stay: a year is not rounded to its decade.
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"


def _numbers(text: Text) -> Float | None:
    """Text as numbers, NaN where there is nothing; None where anything is no number."""
    found = np.full(len(text), np.nan)
    for i, cell in enumerate(text.tolist()):
        if cell != EMPTY:
            try:
                found[i] = float(cell)
            except ValueError:
                return None
    return found


def _grey(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image, dtype=np.uint8)
