"""What is asked of any model from outside, and which model a reference means."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from fer_bench import paths
from fer_bench.data.decoding import resize
from fer_bench.errors import SpecError

Images = Sequence[npt.NDArray[np.uint8]]
Outputs = npt.NDArray[np.float32]
Normalization = Literal["raw", "unit", "symmetric", "imagenet"]
# Less this and divided by that, of pixels from 0 to 1.
_CONSTANTS = {
    "raw": (0.0, 1 / 255),
    "unit": (0.0, 1.0),
    "symmetric": (0.5, 0.5),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
KINDS = ("onnx", "hf", "python")
FORMS = "onnx:FILE, hf:ORG/NAME, hf:FOLDER or python:MODULE:FUNCTION"


@dataclass(frozen=True)
class Feeding:
    """How a user says that a model is fed, where the model does not say it.

    Args:
        labels: names of its outputs, in their order; empty: those that the model states.
        image_size: side of its images in pixels; None: what the model states.
        normalization: ``raw`` (0 to 255), ``unit`` (0 to 1), ``symmetric`` (-1 to 1) or ``imagenet``; empty: what the
            model states.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    labels: tuple[str, ...] = ()
    image_size: int | None = None
    normalization: str = ""
    accelerator: str = "auto"

    def __post_init__(self) -> None:
        if self.normalization and self.normalization not in get_args(Normalization):
            problem = f"--normalization {self.normalization!r} is none of {', '.join(get_args(Normalization))}."
            raise SpecError(problem, "Name the range of the pixels that the network was trained on.")
        if self.image_size is not None and not 8 <= self.image_size <= 4096:
            problem = f"--image-size {self.image_size}: from 8 to 4096 pixels."
            raise SpecError(problem)


class OutsideModel(Protocol):
    """A model from outside, opened.

    Args:
        name: how a board would call it.
        labels: names of its outputs, in their order.
        parameters: how many it has; None where that is not known.
        facts: what a record says of it: its digest, and how it is fed.
    """

    name: str
    labels: tuple[str, ...]
    parameters: int | None
    facts: dict[str, Any]

    def predict(self, images: Images) -> Outputs:
        """Answer images, each uint8 (H, W) grey or (H, W, 3) RGB, of any size: shape (B, C), as the model gives it."""
        ...


def is_outside(reference: str) -> bool:
    """Whether a reference names a model from outside, by its beginning."""
    return reference.partition(":")[0] in KINDS and ":" in reference


def open_model(reference: str, feeding: Feeding) -> OutsideModel:
    """Open a model.

    Args:
        reference: ``onnx:FILE``, ``hf:ORG/NAME``, ``hf:FOLDER`` or ``python:MODULE:FUNCTION``.
        feeding: what the user says of it.

    Raises:
        SpecError: another reference; or the model does not say how it is fed, or what its outputs mean.
        MissingDataError, WeightsError, BadDataError, PluginError: it is not there, or not usable.
        MissingPackageError: what runs it is not installed.
    """
    kind, _, rest = reference.partition(":")
    if kind == "onnx" and rest:
        from fer_bench.deploy.outside.onnx_file import OnnxFile

        return OnnxFile(paths.expanded(rest), feeding)
    if kind == "hf" and rest:
        from fer_bench.deploy.outside.transformers_model import TransformersModel

        return TransformersModel(rest, feeding)
    if kind == "python" and rest:
        from fer_bench.deploy.outside.function import Function

        return Function(rest, feeding)
    problem = f"--model {reference!r} is no model from outside."
    raise SpecError(problem, f"Write {FORMS}; or give the id of a run instead of --model.")


def require_labels(labels: Sequence[str], n: int, what: str) -> tuple[str, ...]:
    """Names of outputs, as many as there are outputs.

    Raises:
        SpecError: none, or another number of them.
    """
    if len(labels) == n:
        return tuple(labels)
    has = f"{len(labels)} names are given" if labels else "it does not say what they mean"
    problem = f"{what}: it has {n} outputs, and {has}."
    raise SpecError(problem, "Name them in their order: --labels angry,disgust,fear,...")


def fitted(image: npt.NDArray[np.uint8], height: int, width: int, channels: int) -> npt.NDArray[np.uint8]:
    """An image at a size, (height, width, channels): grey as three equal channels, RGB as grey by OpenCV's weights."""
    import cv2

    if height == width:
        image = resize(image, height)
    elif image.shape[:2] != (height, width):
        method = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)
    if image.ndim == 2:
        return np.repeat(image[..., None], channels, axis=2)
    return image if channels == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)[..., None]


def normalized(images: npt.NDArray[np.uint8], normalization: str) -> npt.NDArray[np.float32]:
    """Pixels, (..., channels), as a network takes them."""
    less, by = _CONSTANTS[normalization]
    channels = images.shape[-1]
    less, by = (np.resize(np.asarray(part, dtype=np.float32), channels) for part in (less, by))
    return np.asarray((images.astype(np.float32) / 255 - less) / by, dtype=np.float32)


def sha256_of(paths: Sequence[Path]) -> str:
    """SHA-256 of files, one after the other; of one file, its own."""
    content = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
    return content.hexdigest()
