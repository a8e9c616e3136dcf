"""Streams: what a linear head may see of an image; several of them side by side are late fusion.

``features:NAME``
    penultimate features of a backbone.
``predictions:NAME``
    the backbone's own class probabilities: Places365's 365, EmoNet's 20, a trained run's.
``emo8:NAME``
    eight probabilities of an Emo8 head on the backbone's features.
``faces:NAME``
    mean and standard deviation, over the faces of an image, of the class probabilities of a face network: 14 values for seven expressions, all of them 0 where
    there is no face, so that the sum of the means says whether there is one.

NAME is any backbone of :mod:`fer_bench.probes.backbones`. Source: Mertens et al., FindingEmo (2024), section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fer_bench.data.base import AffectDataModule
from fer_bench.errors import SpecError
from fer_bench.labels import EMO8
from fer_bench.probes.backbones import build_backbone
from fer_bench.probes.features import Place, dataset_identity, extract
from fer_bench.probes.heads import Head, Split, train_heads
from fer_bench.probes.settings import EMONET, ProbeSettings
from fer_bench.registry import unknown_name
from fer_bench.results.store import Store

KINDS = ("features", "predictions", "emo8", "faces")
_BLOCK = 1024


@dataclass(frozen=True)
class Stream:
    """Values of one stream for all N images of a dataset.

    Args:
        name: as in the settings.
        values: shape (N, D).
        key: identity of what it was computed from.
        parameters: of the frozen network behind it.
        facts: counts that belong into the record.
    """

    name: str
    values: npt.NDArray[Any]
    key: str
    parameters: int
    facts: dict[str, int | float | str] = field(default_factory=dict)


class FaceCrops:
    """The faces of all images, one after the other."""

    def __init__(self, faces: npt.NDArray[np.uint8], counts: npt.NDArray[np.int64]) -> None:
        self.faces = faces
        self.image = np.repeat(np.arange(len(counts)), counts)
        self.place = np.concatenate([np.arange(n) for n in counts]) if len(counts) else np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        return np.asarray(self.faces[self.image[index], self.place[index]])


def check_stream(stream: str) -> tuple[str, str]:
    """Kind and name of a stream.

    Raises:
        UnknownNameError: another kind.
        SpecError: no name.
    """
    kind, _, name = stream.partition(":")
    if kind not in KINDS:
        what = "stream"
        raise unknown_name(what, kind, KINDS)
    if not name:
        problem = f"stream {stream!r} lacks a name."
        raise SpecError(problem, f"For example {kind}:resnet18.")
    return kind, name


def full_name(stream: str, store: Store) -> str:
    """A stream whose run is named by its whole id: the beginning of an id means the same grid.

    Raises:
        RecordError: no such run, or more than one.
    """
    kind, name = check_stream(stream)
    return f"{kind}:run:{store.get(name.removeprefix('run:')).run_id}" if name.startswith("run:") else stream


def load_stream(
    stream: str, settings: ProbeSettings, datamodule: AffectDataModule, place: Place, store: Store | None = None, data_dir: str | None = None
) -> Stream:
    """Compute a stream, or read it from the cache.

    Args:
        stream: ``KIND:NAME``.
        settings: give weights, image size, batch size and the limits of the Emo8 head.
        datamodule: of the dataset.
        place: device and precision.
        store: where runs are looked up.
        data_dir: data root.

    Raises:
        FerBenchError: whatever the user can act on.
    """
    kind, name = check_stream(stream)
    outputs = "predictions" if kind in ("predictions", "faces") or name == EMONET else "features"
    weights = settings.weights.get(name, "auto")
    size = settings.image_size if kind != "faces" else None
    backbone = build_backbone(name, weights=weights, outputs=outputs, image_size=size, store=store, data_dir=data_dir)
    identity = dataset_identity(datamodule)
    if kind == "faces":
        crops = _crops(datamodule)
        features = extract(backbone, crops, {**identity, "part": "faces"}, place)
        counts = np.bincount(crops.image, minlength=len(datamodule.read_samples))
        facts: dict[str, int | float | str] = {"n_faces": len(crops), "n_without_face": int((counts == 0).sum())}
        return Stream(stream, pool_faces(np.asarray(features.values, dtype=np.float32), crops.image, len(counts)), features.key, backbone.parameters, facts)
    features = extract(backbone, datamodule.read_samples.images, identity, place)
    if kind == "emo8":
        values, facts = _emo8(features.values, settings, datamodule, place)
        return Stream(stream, values, features.key, backbone.parameters, facts)
    return Stream(stream, features.values, features.key, backbone.parameters)


def pool_faces(probabilities: npt.NDArray[np.float32], image: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.float32]:
    """Mean and standard deviation over the faces of each image.

    Args:
        probabilities: shape (F, C), one row per face.
        image: shape (F,), which image each face is in.
        n: images.

    Returns:
        Shape (n, 2 C): means and standard deviations (ddof 0; 0 for a single face); a row of zeros where there is no face.
    """
    width = probabilities.shape[1]
    count = np.bincount(image, minlength=n).astype(np.float64)
    known = np.maximum(count, 1)[:, None]
    total, square = np.zeros((n, width)), np.zeros((n, width))
    np.add.at(total, image, probabilities)
    mean = total / known
    np.add.at(square, image, np.square(probabilities - mean[image]))
    return np.concatenate([mean, np.sqrt(square / known)], axis=1).astype(np.float32)


def _crops(datamodule: AffectDataModule) -> FaceCrops:
    columns = datamodule.read_samples.columns
    if "faces" not in columns or "n_faces" not in columns:
        problem = f"dataset {datamodule.name!r} does not say where its faces are."
        raise SpecError(problem, "The stream 'faces' needs the columns faces and n_faces, such as synthscenes has.")
    return FaceCrops(np.asarray(columns["faces"], dtype=np.uint8), np.asarray(columns["n_faces"], dtype=np.int64))


def _emo8(
    values: npt.NDArray[Any], settings: ProbeSettings, datamodule: AffectDataModule, place: Place
) -> tuple[npt.NDArray[np.float32], dict[str, int | float | str]]:
    """Probabilities of the best Emo8 head on validation, among the learning rates of the settings; plain cross-entropy and seed 0, as the paper's streams."""
    samples = datamodule.read_samples
    if "emo8" not in samples.targets:
        problem = f"dataset {datamodule.name!r} has no Emo8 labels for the stream 'emo8'."
        raise SpecError(problem, "Leave the stream out.")
    labels = np.asarray(samples.targets["emo8"], dtype=np.int64)
    train, validation = (
        Split(torch.from_numpy(values[at].astype(np.float32)).to(place.device), torch.from_numpy(labels[at]).to(place.device))
        for at in (samples.where("train"), samples.where("validation"))
    )
    heads = [Head(lr) for lr in settings.lr]
    trained = train_heads(heads, train, validation, EMO8, batch_size=settings.batch_size, max_epochs=settings.max_epochs, patience=settings.patience)
    scores = [
        np.nanmax([-np.inf, *(epoch["validation_weighted_f1"][h] for epoch in trained.history[: trained.chosen_epoch[h] + 1])]) for h in range(len(heads))
    ]
    best = int(np.argmax(scores))
    out = np.empty((len(values), len(EMO8)), dtype=np.float32)
    for start in range(0, len(values), _BLOCK):
        block = torch.from_numpy(values[start : start + _BLOCK].astype(np.float32)).to(place.device)
        out[start : start + _BLOCK] = trained.probabilities(block)[best]
    return out, {"emo8_lr": heads[best].lr, "emo8_epoch": int(trained.chosen_epoch[best])}


def fuse(streams: Sequence[Stream], positions: dict[str, npt.NDArray[np.int64]], standardise: bool) -> dict[str, npt.NDArray[np.float32]]:
    """Put streams side by side.

    Args:
        streams: of the same images.
        positions: of the samples of each split; ``train`` must be among them.
        standardise: scale each column to mean 0 and standard deviation 1 on train; a column that is constant there becomes 0 where it keeps its value.

    Returns:
        By split, shape (n, sum of the streams' widths), float32.
    """
    width = sum(stream.values.shape[1] for stream in streams)
    fused = {split: np.empty((len(at), width), dtype=np.float32) for split, at in positions.items()}
    left = 0
    for stream in streams:
        columns = slice(left, left + stream.values.shape[1])
        left = columns.stop
        for split, at in positions.items():
            fused[split][:, columns] = stream.values[at]
    if standardise:
        mean = fused["train"].mean(axis=0, dtype=np.float64)
        std = fused["train"].std(axis=0, dtype=np.float64)
        scale = np.where(std > 1e-6, 1 / np.maximum(std, 1e-6), 1.0)
        for values in fused.values():
            values -= mean.astype(np.float32)
            values *= scale.astype(np.float32)
    return fused
