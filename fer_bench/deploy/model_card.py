"""What travels with a network outside the suite: how it is fed, and what its outputs mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from fer_bench.data.decoding import resize
from fer_bench.data.letterbox import letterbox
from fer_bench.faces.crops import Framing

FORMAT = 1


class Card(BaseModel):
    """The description of a trained network; as JSON it is the metadata ``fer_bench`` of an exported file.

    Args:
        format: version of this description.
        fer_bench: version of the package.
        run_id: the run.
        protocol: by which the run was judged.
        dataset: trained on.
        task: ``fer7``, ``va``, ...
        model: name of the network.
        kind: ``classes``: outputs are probabilities of one class each; ``labels``: of any number of categories;
            ``values``: outputs are in the dataset's units.
        names: of the outputs, in order.
        scale: (low, high) of values.
        height: of the images that it takes, in pixels.
        width: of the images that it takes, in pixels.
        channels: 1 (grey) or 3 (RGB).
        subject: ``face`` or ``scene``.
        fit: how a whole image becomes one of that size: ``stretch`` or ``letterbox``.
        margins: of the crop around a face's landmarks, see :class:`Framing`.
        square: see :class:`Framing`.
        weights_sha256: of the network's weights.
        input_format: in words, for readers who have no fer_bench.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    fer_bench: str
    run_id: str
    protocol: str
    dataset: str
    task: str
    model: str
    kind: Literal["classes", "labels", "values"]
    names: tuple[str, ...] = Field(min_length=1)
    scale: tuple[float, float] = (-1.0, 1.0)
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    channels: Literal[1, 3]
    subject: Literal["face", "scene"] = "face"
    fit: Literal["stretch", "letterbox"] = "stretch"
    margins: tuple[float, float, float, float]
    square: bool
    weights_sha256: str = ""
    input_format: str = ""

    @property
    def classes(self) -> bool:
        """Whether each image has one class."""
        return self.kind == "classes"

    @property
    def probabilities(self) -> bool:
        """Whether outputs are probabilities."""
        return self.kind != "values"

    @property
    def framing(self) -> Framing:
        """How faces are cut out."""
        return Framing(self.margins, self.square)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the input."""
        return self.channels, self.height, self.width

    def fit_image(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A whole image, (H, W) or (H, W, 3), at the size that the network takes."""
        if self.fit == "letterbox":
            return letterbox(image, self.width, self.height)
        if self.height == self.width:
            return resize(image, self.height)
        method = cv2.INTER_AREA if image.shape[0] > self.height else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, (self.width, self.height), interpolation=method), dtype=np.uint8)

    def batch(self, images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
        """Images of the right size as one batch.

        Args:
            images: each (height, width) or (height, width, 3).

        Returns:
            uint8 (B, channels, height, width).
        """
        if not images:
            return np.zeros((0, *self.shape), dtype=np.uint8)
        stacked = np.stack(images)
        return np.ascontiguousarray(stacked[:, None] if stacked.ndim == 3 else stacked.transpose(0, 3, 1, 2))
