"""Weights of TensorFlow.js: a ``model.json``, which names the tensors, and binary files next to it. Read by this module
alone; nothing of the graph is run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.errors import WeightsError

Array = npt.NDArray[Any]
_TYPES = {"float32": "<f4", "int32": "<i4", "float16": "<f2", "uint8": "u1", "uint16": "<u2", "bool": "u1"}


def read_tfjs(path: Path) -> tuple[dict[str, Array], list[dict[str, Any]]]:
    """Read the tensors of a TensorFlow.js model.

    Args:
        path: of the ``model.json``.

    Returns:
        Arrays by name, as TensorFlow lays them out (a kernel is (H, W, C_in, C_out)), and the nodes of the graph; none
        where it is a layers model.

    Raises:
        WeightsError: no such model, a binary file that is missing or too short, or a kind of numbers that is not known.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        groups = [(list(group["paths"]), list(group["weights"])) for group in content["weightsManifest"]]
        nodes = content.get("modelTopology", {}).get("node", [])
        tensors: dict[str, Array] = {}
        for names, weights in groups:
            data = b"".join(_binary(path, str(name)) for name in names)
            tensors.update(_tensors(weights, data, path))
    except WeightsError:
        raise
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        detail = str(error).splitlines()[0][:120] if str(error) else ""
        problem = f"{path}: not the model.json of a TensorFlow.js model ({type(error).__name__}: {detail})."
        raise WeightsError(
            problem,
            "Use the model.json, with its binary files in the same folder, or a .pth, .pt, .ckpt or .safetensors file.",
        ) from None
    return tensors, nodes if isinstance(nodes, list) else []


def _binary(path: Path, name: str) -> bytes:
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        problem = f"{path}: names a file outside its own folder ({name})."
        raise WeightsError(problem, "Put the binary files next to the model.json.")
    try:
        return (path.parent / relative).read_bytes()
    except OSError as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
        problem = f"{path}: its weights are in {name}, which cannot be read next to it: {why}."
        raise WeightsError(problem, f"Copy {name} into {path.parent}.") from None


def _tensors(weights: list[dict[str, Any]], data: bytes, path: Path) -> Iterator[tuple[str, Array]]:
    """The tensors of one group, one after the other in its bytes."""
    at = 0
    for weight in weights:
        stored = weight.get("quantization", {})
        kind = stored.get("dtype", weight["dtype"])
        if kind not in _TYPES:
            problem = f"{path}: {weight['name']} has numbers of the kind {kind!r}, which is not read here."
            raise WeightsError(problem, f"Known are {', '.join(_TYPES)}.")
        shape, dtype = tuple(int(side) for side in weight["shape"]), np.dtype(_TYPES[kind])
        size = math.prod(shape) * dtype.itemsize
        if at + size > len(data):
            problem = (
                f"{path}: its binary files end within {weight['name']}: {len(data)} bytes, {at + size} or more are"
                " needed."
            )
            raise WeightsError(problem, "They are damaged or of another model; fetch them again.")
        values = np.frombuffer(data, dtype, math.prod(shape), at).reshape(shape)
        at += size
        if "scale" in stored:
            values = values.astype(np.float32) * np.float32(stored["scale"]) + np.float32(stored.get("min", 0))
        yield str(weight["name"]), values.astype(np.float32) if kind == "float16" else values
