"""Streams: what a linear head may see of an image; several of them side by side are late fusion.

``features:NAME``
    penultimate features of a backbone.
``predictions:NAME``
    the backbone's own class probabilities: Places365's 365, EmoNet's 20, a trained run's; or the values of a run of
    values.
``emo8:NAME``
    eight probabilities of an Emo8 head on the backbone's features.
``task:NAME``
    probabilities, or values, of a head of the grid's own task on the backbone's features: three for arousal3.
``faces:NAME``
    mean and standard deviation, over the faces of an image, of the class probabilities of a face network: 14 values for
    seven expressions, all of them 0 where there is no face, so that the sum of the means says whether there is one; of
    a network of values, likewise, and a 1 where there is a face. (The paper does not say what it does there.) See
    :mod:`fer_bench.probes.face_crops` for where faces come from.

NAME is any backbone of :mod:`fer_bench.probes.backbones`. Source: Mertens et al., FindingEmo (2024), section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fer_bench.data.computed import dataset_identity
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import Samples
from fer_bench.errors import SpecError
from fer_bench.models.catalog import find_model
from fer_bench.probes.backbones import Backbone, build_backbone
from fer_bench.probes.face_crops import Faces, find_faces
from fer_bench.probes.features import Place, extract, run_batch
from fer_bench.probes.settings import EMONET, ProbeSettings
from fer_bench.probes.stream_heads import StreamHead, fit_stream_head
from fer_bench.registry import unknown_name
from fer_bench.results.store import Store

KINDS = ("features", "predictions", "emo8", "task", "faces")


@dataclass(frozen=True)
class Stream:
    """Values of one stream for all N images of a dataset.

    Args:
        name: as in the settings.
        values: shape (N, D).
        key: identity of what it was computed from.
        parameters: of the frozen network behind it.
        facts: counts that belong into the record.
        head: on the features, of ``emo8`` and ``task``.
    """

    name: str
    values: npt.NDArray[Any]
    key: str
    parameters: int
    facts: dict[str, int | float | str] = field(default_factory=dict)
    head: StreamHead | None = None


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


def check_backbone(stream: str, weights: str, store: Store, data_dir: str | None = None) -> None:
    """Refuse, before any image is read, a network that cannot be built: an unknown name, a weights file or a run that
    is not there or of another network.

    Args:
        stream: ``KIND:NAME``.
        weights: as :func:`build_backbone`.
        store: where runs are looked up.
        data_dir: data root.

    Raises:
        FerBenchError: as :func:`build_backbone`.
    """
    kind, name = check_stream(stream)
    if name == EMONET or name.endswith("-places365") or name.startswith("run:") or weights not in ("auto", "none"):
        build_backbone(name, weights=weights, outputs=_outputs(kind, name), store=store, data_dir=data_dir)
    else:
        # ImageNet's weights may have to be fetched: only the name is judged here.
        find_model(name)


def full_name(stream: str, store: Store) -> str:
    """A stream whose run is named by its whole id: the beginning of an id means the same grid.

    Raises:
        RecordError: no such run, or more than one.
    """
    kind, name = check_stream(stream)
    return f"{kind}:run:{store.get(name.removeprefix('run:')).run_id}" if name.startswith("run:") else stream


def open_backbone(
    stream: str, settings: ProbeSettings, store: Store | None = None, data_dir: str | None = None
) -> Backbone:
    """The frozen network of a stream.

    Args:
        stream: ``KIND:NAME``.
        settings: give weights and image size.
        store: where runs are looked up.
        data_dir: data root.

    Raises:
        FerBenchError: whatever the user can act on.
    """
    kind, name = check_stream(stream)
    size = settings.image_size if kind != "faces" else None
    return build_backbone(
        name,
        weights=settings.weights_of(name),
        outputs=_outputs(kind, name),
        image_size=size,
        store=store,
        data_dir=data_dir,
    )


def load_stream(
    stream: str,
    settings: ProbeSettings,
    datamodule: AffectDataModule,
    place: Place,
    store: Store | None = None,
    data_dir: str | None = None,
    backbone: Backbone | None = None,
) -> Stream:
    """Compute a stream, or read it from the cache; of ``emo8`` and ``task`` the features, see :func:`with_head`.

    Args:
        stream: ``KIND:NAME``.
        settings: give weights, image size, and the face detector.
        datamodule: of the dataset.
        place: device and precision.
        store: where runs are looked up.
        data_dir: data root.
        backbone: as :func:`open_backbone` gives it; None: it is opened here.

    Raises:
        FerBenchError: whatever the user can act on.
    """
    kind, name = check_stream(stream)
    backbone = backbone or open_backbone(stream, settings, store, data_dir)
    identity = dataset_identity(datamodule)
    if kind == "faces":
        faces = find_faces(datamodule, name, settings.detector, store or Store(), data_dir)
        return _faces(stream, backbone, faces, identity, place, len(datamodule.read_samples))
    features = extract(backbone, datamodule.read_samples.images, identity, place)
    return Stream(stream, features.values, features.key, backbone.parameters)


def with_head(stream: Stream, settings: ProbeSettings, samples: Samples, place: Place) -> Stream:
    """A stream of features with the head that it asks for, fitted on the samples' training split; others as they are.

    Args:
        stream: of these samples, in their order.
        settings: give task, batch size and the limits of a head.
        samples: with targets and splits.
        place: device.

    Raises:
        SpecError: the samples have no labels of the head's task.
    """
    kind, _ = check_stream(stream.name)
    if kind not in ("emo8", "task"):
        return stream
    head, facts = fit_stream_head(kind if kind == "emo8" else "", stream.values, settings, samples, place)
    return replace(stream, values=head.of(stream.values, place.device), facts=facts, head=head)


def _outputs(kind: str, name: str) -> str:
    """What a stream takes from its network."""
    return "predictions" if kind in ("predictions", "faces") or name == EMONET else "features"


def _faces(stream: str, backbone: Backbone, faces: Faces, identity: dict[str, Any], place: Place, n: int) -> Stream:
    if len(faces.crops):
        features = extract(backbone, faces.crops, {**identity, **faces.identity}, place)
        values, key = pool_faces(np.asarray(features.values, dtype=np.float32), faces.image, n), features.key
    else:
        blank = torch.zeros(1, 1, faces.side, faces.side, dtype=torch.uint8)
        width = run_batch(backbone.module.to(place.device), blank, place).shape[1]
        values, key = np.zeros((n, 2 * width), dtype=np.float32), "no face"
    if backbone.of_values:
        present = np.bincount(faces.image, minlength=n) > 0
        values = np.concatenate([values, present[:, None].astype(np.float32)], axis=1)
    facts = (
        {**faces.facts, "without_face": "all values 0 before they are standardised"}
        if faces.facts["n_without_face"]
        else faces.facts
    )
    return Stream(stream, values, key, backbone.parameters, facts)


def pool_faces(probabilities: npt.NDArray[np.float32], image: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.float32]:
    """Mean and standard deviation over the faces of each image.

    Args:
        probabilities: shape (F, C), one row per face.
        image: shape (F,), which image each face is in.
        n: images.

    Returns:
        Shape (n, 2 C): means and standard deviations (ddof 0; 0 for a single face); a row of zeros where there is no
            face.
    """
    width = probabilities.shape[1]
    count = np.bincount(image, minlength=n).astype(np.float64)
    known = np.maximum(count, 1)[:, None]
    total, square = np.zeros((n, width)), np.zeros((n, width))
    np.add.at(total, image, probabilities)
    mean = total / known
    np.add.at(square, image, np.square(probabilities - mean[image]))
    return np.concatenate([mean, np.sqrt(square / known)], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Scaling:
    """What each column of fused streams is moved by and multiplied with.

    Args:
        mean: shape (D,), float32.
        scale: likewise.
    """

    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]


def fuse(
    streams: Sequence[Stream], positions: dict[str, npt.NDArray[np.int64]], standardise: bool
) -> tuple[dict[str, npt.NDArray[np.float32]], Scaling | None]:
    """Put streams side by side.

    Args:
        streams: of the same images.
        positions: of the samples of each split; ``train`` must be among them.
        standardise: scale each column to mean 0 and standard deviation 1 on train; a column that is constant there
            becomes 0 where it keeps its value.

    Returns:
        By split, shape (n, sum of the streams' widths), float32; and how they were scaled, if they were.
    """
    width = sum(stream.values.shape[1] for stream in streams)
    fused = {split: np.empty((len(at), width), dtype=np.float32) for split, at in positions.items()}
    left = 0
    for stream in streams:
        columns = slice(left, left + stream.values.shape[1])
        left = columns.stop
        for split, at in positions.items():
            fused[split][:, columns] = stream.values[at]
    if not standardise:
        return fused, None
    mean = fused["train"].mean(axis=0, dtype=np.float64)
    std = fused["train"].std(axis=0, dtype=np.float64)
    scale = np.where(std > 1e-6, 1 / np.maximum(std, 1e-6), 1.0)
    scaling = Scaling(mean.astype(np.float32), scale.astype(np.float32))
    for values in fused.values():
        values -= scaling.mean
        values *= scaling.scale
    return fused, scaling
