"""The faces of a dataset's images, cut out as a face network has seen faces: where the dataset says they are, else
where a detector finds them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.images import pixels_of
from fer_bench.data.samples import Images
from fer_bench.errors import SpecError
from fer_bench.faces.crops import Framing, framing_of, image_shape
from fer_bench.faces.detection import DETECTORS, as_rgb, detect_faces
from fer_bench.faces.detector import Face
from fer_bench.models.trained import native_size, spec_of
from fer_bench.protocols import info_at_hand
from fer_bench.results.store import Store
from fer_bench.spec import Execution

_PHOTOGRAPHS = 224
# A dataset's own boxes are those of faces, not of landmarks.
_AROUND_BOX = Framing((0.0, 0.0, 0.0, 0.0), square=True)
Facts = dict[str, int | float | str]


@dataclass(frozen=True)
class FaceInput:
    """How a network was shown faces.

    Args:
        framing: around the landmarks.
        side: of the crop, in pixels.
        gray: whether it knows grey images only.
    """

    framing: Framing
    side: int
    gray: bool


@dataclass(frozen=True)
class Faces:
    """All faces of a dataset.

    Args:
        crops: F images, one after the other.
        image: shape (F,), which image each face is in, never falling.
        side: of the crops, in pixels.
        identity: what decides the crops, besides the dataset.
        facts: counts for the record.
    """

    crops: Images
    image: npt.NDArray[np.int64]
    side: int
    identity: dict[str, Any]
    facts: Facts


class GivenCrops:
    """Crops that the dataset has: (N, M, side, side), of which the first ``counts`` of each image are faces."""

    def __init__(self, faces: npt.NDArray[np.uint8], counts: npt.NDArray[np.int64]) -> None:
        self.faces = faces
        self.image = np.repeat(np.arange(len(counts)), counts)
        self.place = np.concatenate([np.arange(n) for n in counts]) if len(counts) else np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        return np.asarray(self.faces[self.image[index], self.place[index]])


class BoxCrops:
    """Crops that are cut when asked for.

    Args:
        images: N images of one size.
        boxes: shape (N, M, 4), left, top, right, bottom in pixels; NaN where there is no face.
        seen: how the network was shown faces.
    """

    def __init__(self, images: Images, boxes: npt.NDArray[np.float32], seen: FaceInput) -> None:
        self.images, self.seen = images, seen
        height, width = images[0].shape[:2]
        at = [
            (i, k)
            for i, k in np.argwhere(np.isfinite(boxes).all(axis=2))
            if pixels_of(seen.framing.box(_face(boxes[i, k])), width, height)
        ]
        self.image = np.array([i for i, _ in at], dtype=np.int64)
        self.boxes = np.array([boxes[i, k] for i, k in at], dtype=np.float32).reshape(-1, 4)
        self._last: tuple[int, npt.NDArray[np.uint8]] | None = None

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        image = int(self.image[index])
        if self._last is None or self._last[0] != image:
            # A photograph with ten faces is decoded once.
            self._last = image, as_rgb(self.images[image])
        found = self.seen.framing.cut(self._last[1], _face(self.boxes[index]), self.seen.side, gray=self.seen.gray)
        # Only boxes that leave pixels within the image were kept.
        assert found is not None
        return found


def _face(box: Iterable[float]) -> Face:
    left, top, right, bottom = (float(value) for value in box)
    return Face((left, top, right, bottom), None, 1.0)


def has_faces(datamodule: AffectDataModule) -> bool:
    """Whether a dataset says itself where its faces are."""
    columns = datamodule.read_samples.columns
    return "n_faces" in columns and ("faces" in columns or "boxes" in columns)


def detector_digests(
    streams: Iterable[str], datamodule: AffectDataModule, detector: str, data_dir: str | None
) -> dict[str, str]:
    """What a grid's name must distinguish besides the data: the detector, where one of its streams needs it; else
    nothing.
    """
    if has_faces(datamodule) or not any(stream.startswith("faces:") for stream in streams):
        return {}
    return {"face detector": str(sorted(DETECTORS[detector](data_dir).identity.items()))}


def face_input(name: str, store: Store, data_dir: str | None) -> FaceInput:
    """How a network was shown faces: a run as its dataset has them, any other network as photographs of 224 px.

    Args:
        name: of a backbone, or ``run:`` and a run id.
        store: where the run's record is.
        data_dir: dataset root directory; None: the usual places.

    Raises:
        RecordError: no such run.
        SpecError: it is no trained network, or one of scenes.
    """
    if not name.startswith("run:"):
        return FaceInput(Framing(), _PHOTOGRAPHS, gray=False)
    record = store.get(name.removeprefix("run:"))
    spec = spec_of(record, Execution(data_dir=data_dir))
    picture = info_at_hand(spec.dataset).picture
    if picture != "face":
        problem = f"run {record.run_id!r} was trained on {spec.dataset}: it knows {picture}s, not faces."
        raise SpecError(problem, "Name a run on faces, such as fer2013's.")
    side, _, channels = image_shape(spec.dataset, spec.dataset_options, record.data, native_size(record, spec))
    return FaceInput(framing_of(spec.dataset, spec.dataset_options), side, gray=channels == 1)


def find_faces(
    datamodule: AffectDataModule, network: str, detector: str, store: Store, data_dir: str | None = None
) -> Faces:
    """The faces of all images of a dataset, in the order of the images.

    Args:
        datamodule: of the dataset. Its columns ``faces`` (crops) or ``boxes``, with ``n_faces``, count more than the
            detector.
        network: name of the backbone that will see them.
        detector: name of one of :data:`~fer_bench.faces.detection.DETECTORS`.
        store: where runs are looked up.
        data_dir: data root.

    Raises:
        MissingDataError: the detector's model is not there.
        FerBenchError: whatever else the user can act on.
    """
    samples = datamodule.read_samples
    if has_faces(datamodule):
        counts = np.asarray(samples.columns["n_faces"], dtype=np.int64)
        if "faces" in samples.columns:
            given = GivenCrops(np.asarray(samples.columns["faces"], dtype=np.uint8), counts)
            return Faces(
                given, given.image, given.faces.shape[-1], {"part": "faces"}, _counts(given.image, len(samples))
            )
        boxes = np.array(samples.columns["boxes"], dtype=np.float32)
        boxes[np.arange(boxes.shape[1]) >= counts[:, None]] = np.nan
        digest, shown = hashlib.sha256(boxes.tobytes()).hexdigest(), face_input(network, store, data_dir)
        seen = FaceInput(_AROUND_BOX, shown.side, shown.gray)
        facts: Facts = {"detector": "none, the dataset's own boxes"}
    else:
        chosen = DETECTORS[detector](data_dir)
        seen = face_input(network, store, data_dir)
        found = detect_faces(datamodule, chosen)
        boxes, digest = found.boxes, found.key
        facts = {"detector": chosen.name, **{f"detector_{name}": str(value) for name, value in chosen.identity.items()}}
    crops = BoxCrops(samples.images, boxes, seen)
    return Faces(
        crops,
        crops.image,
        seen.side,
        {"part": "faces", "boxes": digest, "seen": asdict(seen)},
        {**_counts(crops.image, len(samples)), **facts},
    )


def _counts(image: npt.NDArray[np.int64], n: int) -> Facts:
    counts = np.bincount(image, minlength=n)
    return {
        "n_faces": len(image),
        "n_without_face": int((counts == 0).sum()),
        "faces_per_image": round(len(image) / max(n, 1), 3),
        "most_faces": int(counts.max(initial=0)),
    }
