"""A function of the user's: images in, probabilities out."""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_bench import plugins
from fer_bench.deploy.outside.model import Feeding, Images, Outputs, fitted, require_labels
from fer_bench.errors import PluginError, SpecError

_CALL = (
    "It is called with uint8 images, (B, H, W) grey or (B, H, W, 3) RGB, and returns (B, C): one probability for each"
    " of C classes, or one number for each of C values."
)


class Function:
    """See :class:`fer_bench.deploy.outside.model.OutsideModel`.

    The outputs are called what the function's attribute ``labels`` says, or ``--labels``.

    Args:
        reference: ``MODULE:FUNCTION``; the current folder counts.
        feeding: what the user says of it; with ``image_size`` images are resized to a square first.

    Raises:
        PluginError: there is no such function.
        SpecError: it does not say what its outputs mean.
    """

    def __init__(self, reference: str, feeding: Feeding) -> None:
        if feeding.normalization:
            problem = f"python:{reference}: a function gets the pixels as they are, from 0 to 255."
            raise SpecError(problem, "Leave --normalization out.")
        plugin = plugins.find("model", reference)
        if plugin is None or plugin.reference != reference:
            problem = f"python:{reference} is no module and function."
            raise SpecError(problem, "Write python:MODULE:FUNCTION, from the folder that the module is in.")
        self._function = plugin.load()
        if not callable(self._function):
            problem = f"python:{reference}: a {type(self._function).__name__} cannot be called."
            raise PluginError(problem, _CALL)
        self._what, self._size = f"python:{reference}", feeding.image_size
        self.name = reference.partition(":")[2] if not plugin.package else f"{plugin.package} {plugin.version}"
        self.labels = feeding.labels or tuple(map(str, getattr(self._function, "labels", ())))
        if not self.labels:
            problem = f"{self._what} does not say what its outputs mean."
            raise SpecError(problem, "Give the function an attribute labels, or name them: --labels angry,disgust,...")
        self.parameters: int | None = None
        size = {"input": f"{self._size} px"} if self._size else {}
        self.facts: dict[str, Any] = {"format": "Python", **plugin.facts(), **size}

    def predict(self, images: Images) -> Outputs:
        """See :class:`fer_bench.deploy.outside.model.OutsideModel`."""
        if self._size is not None:
            sized = [fitted(image, self._size, self._size, 3 if image.ndim == 3 else 1) for image in images]
            images = [image[..., 0] if image.shape[-1] == 1 else image for image in sized]
        if len({image.shape for image in images}) > 1:
            problem = f"{self._what}: the images of this dataset have several sizes."
            raise SpecError(problem, "Give the function one: --image-size 96.")
        batch = np.stack(images)
        try:
            found = self._function(batch)
            if hasattr(found, "detach"):
                found = found.detach().cpu()
            outputs = np.asarray(found, dtype=np.float32)
        except Exception as error:  # functions raise whatever they are made to
            detail = next(iter(str(error).strip().splitlines()), "no detail")[:160].rstrip(". ")
            problem = f"{self._what} fails on {len(batch)} images ({type(error).__name__}: {detail})."
            raise PluginError(problem, _CALL) from None
        if outputs.ndim != 2 or len(outputs) != len(batch):
            problem = f"{self._what} returns shape {outputs.shape} for {len(batch)} images."
            raise PluginError(problem, _CALL)
        require_labels(self.labels, outputs.shape[1], self._what)
        return outputs
