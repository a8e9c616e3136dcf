"""An ONNX file of any program, in ONNX Runtime."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fer_bench.deploy.exported import import_onnxruntime
from fer_bench.deploy.outside.model import (
    Feeding,
    Images,
    Outputs,
    fitted,
    normalized,
    require_labels,
    sha256_of,
)
from fer_bench.deploy.predictor import METADATA, providers, read_card
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.packages import require
from fer_bench.untrusted import shown

# Under which programs that write ONNX keep the names of classes.
_NAMES = ("labels", "classes", "class_names", "names", "id2label")
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class OnnxFile:
    """See :class:`fer_bench.deploy.outside.model.OutsideModel`.

    Args:
        path: the file; weights that it keeps in other files must be in its own folder.
        feeding: what the user says of it; its size, channels and their order follow from its input.

    Raises:
        MissingDataError: there is no such file.
        BadDataError: no usable ONNX file, or a network that takes anything but one batch of images.
        SpecError: it takes real numbers, and nobody says how pixels are scaled; or it names no outputs.
    """

    def __init__(self, path: Path, feeding: Feeding) -> None:
        runtime = import_onnxruntime()
        if not path.is_file():
            problem = f"there is no file {path}."
            raise MissingDataError(problem, "Check the name behind onnx:.")
        self._path, self.name = path, path.stem
        self.parameters: int | None
        files, self.parameters = _inspect(path)
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=providers(runtime, feeding.accelerator)
            )
        except Exception as error:  # ONNX Runtime's errors have no common base
            problem = f"{path}: not a usable ONNX file ({shown(error)})."
            raise BadDataError(problem, "Write it again with the program that made it.") from None
        metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        # Of a file that `fer-bench export` has written.
        self.card = card = read_card(metadata, path) if METADATA in metadata else None
        self._read_input(feeding)
        self._fit = None if card is None else card.fit_image
        self._output = self._session.get_outputs()[0].name
        stated = card.names if card is not None else _stated_labels(metadata, path)
        probe = self.predict([np.zeros((self._height, self._width), dtype=np.uint8)])
        self.labels = require_labels(feeding.labels or stated, probe.shape[1], str(path))
        self.facts: dict[str, Any] = {
            "format": "ONNX",
            "sha256": sha256_of(files),
            "input": f"{self._height} x {self._width} px, {self._channels} channels, {self._normalization or 'uint8'}",
        }

    def _read_input(self, feeding: Feeding) -> None:
        """Size, channels, their order and the kind of numbers of the input."""
        inputs = self._session.get_inputs()
        shape = list(inputs[0].shape) if len(inputs) == 1 else []
        if len(shape) != 4:
            taken = ", ".join(f"{one.name} {one.shape}" for one in inputs)
            problem = f"{self._path}: it takes {taken}, not one batch of images."
            raise BadDataError(problem, "A network of images has one input of four dimensions.")
        self._input, self._last = inputs[0], shape[1] not in (1, 3) and shape[3] in (1, 3)
        channels, height, width = (shape[3], shape[1], shape[2]) if self._last else tuple(shape[1:])
        self._channels = channels if isinstance(channels, int) else 3
        if self._channels not in (1, 3):
            problem = f"{self._path}: it takes {shape}, which are images of neither 1 nor 3 channels."
            raise BadDataError(problem)
        sides = [side if isinstance(side, int) else feeding.image_size for side in (height, width)]
        if None in sides:
            problem = f"{self._path}: it takes images of any size."
            raise SpecError(problem, "Say on which it was trained: --image-size 224.")
        if feeding.image_size is not None and set(sides) != {feeding.image_size}:
            problem = f"{self._path}: it takes images of {sides[0]} x {sides[1]} px, not of {feeding.image_size}."
            raise SpecError(problem, "Leave --image-size out.")
        self._height, self._width = (int(side or 0) for side in sides)
        self._at_once = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
        self._normalization = feeding.normalization
        if self._input.type == "tensor(uint8)":
            if feeding.normalization not in ("", "raw"):
                problem = f"{self._path}: it takes 8-bit images and scales them itself."
                raise SpecError(problem, "Leave --normalization out.")
            self._normalization = ""
        elif self._input.type not in _FLOATS:
            problem = f"{self._path}: it takes {self._input.type}."
            raise BadDataError(problem, "Images are tensors of uint8 or of real numbers.")
        elif not feeding.normalization:
            problem = f"{self._path}: it takes real numbers, and does not say how pixels become them."
            hint = "Give --normalization: raw (0 to 255), unit (0 to 1), symmetric (-1 to 1) or imagenet."
            raise SpecError(problem, hint)

    def predict(self, images: Images) -> Outputs:
        """See :class:`fer_bench.deploy.outside.model.OutsideModel`."""
        whole = images if self._fit is None else [self._fit(image) for image in images]
        batch = np.stack([fitted(image, self._height, self._width, self._channels) for image in whole])
        given: Any = batch
        if self._normalization:
            given = normalized(batch, self._normalization).astype(_FLOATS[self._input.type])
        given = np.ascontiguousarray(given if self._last else given.transpose(0, 3, 1, 2))
        n = self._at_once or len(given)
        # A network that takes just so many images has the last ones made up with copies.
        whole_batches = given[np.minimum(np.arange(-(-len(given) // n) * n), len(given) - 1)]
        parts = [whole_batches[i : i + n] for i in range(0, len(whole_batches), n)]
        try:
            found = [self._session.run([self._output], {self._input.name: part})[0] for part in parts]
            outputs = np.concatenate([np.asarray(part, dtype=np.float32) for part in found])[: len(images)]
        except Exception as error:  # ONNX Runtime's errors have no common base
            problem = f"{self._path}: it fails on a batch of images ({shown(error)})."
            raise BadDataError(problem, "Check --image-size and the file.") from None
        if outputs.size % len(images) or outputs.ndim < 2 or outputs.shape[0] != len(images):
            problem = f"{self._path}: its output has shape {outputs.shape} for {len(images)} images."
            raise BadDataError(problem, "The first output of a classifier has one row per image.")
        return outputs.reshape(len(images), -1)


def _inspect(path: Path) -> tuple[list[Path], int]:
    """The file and those in which it keeps weights, all in its own folder; and how many weights there are."""
    require(("onnx",), "onnx")
    import onnx
    from onnx.external_data_helper import uses_external_data

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # of protobuf, whose errors have no common base
        problem = f"{path}: not a usable ONNX file ({shown(error)})."
        raise BadDataError(problem, "Write it again with the program that made it.") from None
    names = {
        entry.value
        for tensor in model.graph.initializer
        if uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    found = [path]
    for name in sorted(names):
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            problem = f"{path}: it keeps weights outside its own folder ({name})."
            raise BadDataError(problem, "Put them next to it.")
        found.append(path.parent / name)
        if not found[-1].is_file():
            problem = f"{path}: its weights are in {name}, which is not next to it."
            raise MissingDataError(problem, f"Copy it into {path.parent.resolve()}.")
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)
    return found, sum(math.prod(tensor.dims) for tensor in model.graph.initializer if tensor.data_type in kinds)


def _stated_labels(metadata: Mapping[str, str], path: Path) -> tuple[str, ...]:
    """Names of outputs in the file's metadata, or in a ``config.json`` next to it; empty where there are none."""
    for key in _NAMES:
        if found := _read_names(metadata.get(key, "")):
            return found
    try:
        content = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
        return _in_order(content["id2label"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _read_names(text: str) -> tuple[str, ...]:
    """A list or a mapping from numbers, as JSON or as Python writes them, or names with commas."""
    if not text.strip():
        return ()
    for read in (json.loads, ast.literal_eval):
        try:
            return _in_order(read(text))
        except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
            continue
    return tuple(part.strip() for part in text.split(",")) if "," in text else ()


def _in_order(names: Any) -> tuple[str, ...]:
    if isinstance(names, Mapping):
        by_number = {int(key): str(value) for key, value in names.items()}
        return tuple(by_number[i] for i in range(len(by_number)))
    if isinstance(names, list | tuple):
        return tuple(map(str, names))
    raise TypeError
