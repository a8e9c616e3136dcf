"""Trained networks and datasets, for use in one's own program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_bench.api.arguments import WHERE, StoreLike, name_of, run_reference
from fer_bench.apps.runs import dataset_here, gathered
from fer_bench.class_sets import label_set_of, read_classes
from fer_bench.labels import LabelSet
from fer_bench.layering import layered
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import build
from fer_bench.value_sets import ValueSet, read_values

if TYPE_CHECKING:
    from fer_bench.data.datamodule import AffectDataModule
    from fer_bench.deploy.model import TrainedModel
    from fer_bench.deploy.predict import PredictionRow


def predict(
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    run: str | Record,
    *,
    accelerator: str = "auto",
    store: StoreLike = None,
) -> list[PredictionRow]:
    """Predict image files with a trained network; as ``fer-bench predict``.

    Args:
        images: a file or a folder, or several.
        run: a record, a run id, ``hf:ORG/NAME`` of the hub, or an exported file (``.onnx``).
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        store: as for :func:`run`.

    Returns:
        One row per image: ``path``, ``label``, ``names``, ``outputs`` of shape (C,), and ``error`` where it cannot be
        read.

    Raises:
        FerBenchError: no such run or file, or its network is not on this machine.
    """
    from fer_bench.deploy.predict import predict_files

    places = [images] if isinstance(images, str | os.PathLike) else images
    return predict_files(Store.at(store), run_reference(run), [Path(place) for place in places], accelerator)


def load_model(run: str | Record, *, accelerator: str = "auto", store: StoreLike = None) -> TrainedModel:
    """Load a trained network, or an ensemble, as an ``nn.Module`` in evaluation mode.

    Args:
        run: a record, a run id (or its beginning), or a network that `fer-bench push` has pushed: ``hf:ORG/NAME``, or
            ``hf:ORG/NAME@REVISION``.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        store: as for :func:`run`.

    Returns:
        A module that takes uint8 images (B, 1 or 3, H, W) and gives probabilities (B, C), or values (B, D) in the
        dataset's units. ``names`` are those of its outputs, ``card`` says how images are prepared, ``network`` gives
        logits.

    Raises:
        FerBenchError: no such run, or its network is not on this machine.

    Example:
        >>> import fer_bench, torch
        >>> record = fer_bench.run("synthfaces", "five_layer_cnn", epochs=1, batch_size=14, seed=3, accelerator="cpu",
        ...                        dataset_options={"n_train": 42, "n_validation": 21, "n_test": 28},
        ...                        model_options={"width": 2})
        run ...
        >>> network = fer_bench.load_model(record, accelerator="cpu")
        >>> network.names[:3], tuple(network(torch.zeros(2, 1, 48, 48, dtype=torch.uint8)).shape)
        (('angry', 'disgust', 'fear'), (2, 7))
    """
    from fer_bench.deploy.model import TrainedModel

    return TrainedModel.load(Store.at(store), run_reference(run), accelerator)


def load_dataset(name: Any, task: str | LabelSet | None = None, **settings: Any) -> AffectDataModule:
    """Read a dataset.

    Args:
        name: as for :func:`run`.
        task: whose labels are served; None: the dataset's default.
        settings: as for :func:`run`: ``dataset_options``, ``folds`` and ``fold_by``, ``data_dir``, ``image_size``,
            ``batch_size``, ``augment``, ...

    Returns:
        The datamodule, set up: ``read_samples`` holds ids, images, splits and targets; ``train_dataloader()`` and
        ``predict_loader("test")`` give batches.

    Raises:
        FerBenchError: no such dataset or setting, or its files are not there or damaged.

    Example:
        >>> import fer_bench
        >>> size = {"n_train": 42, "n_validation": 21, "n_test": 28}
        >>> faces = fer_bench.load_dataset("synthfaces", dataset_options=size)
        >>> faces.targets("test").shape, faces.read_samples.images[0].shape
        ((28,), (48, 48))
    """
    from fer_bench.datasets.load import build_datamodule

    given = gathered({"dataset": name_of(name), "task": name_of(task), **settings})
    given |= dataset_here(given)
    datamodule = build_datamodule(
        build(layered(given), WHERE), workers=max(int((given.get("execution") or {}).get("workers", 0)), 0)
    )
    datamodule.setup()
    return datamodule


def label_set(classes: Sequence[str] | dict[str, str | None]) -> LabelSet:
    """A custom set of classes; its ``name`` is that of their task, and the key of their column among a dataset's
    targets.

    Args:
        classes: names, or folders mapped to names (None leaves one out). They are kept in alphabetical order:
            ``index(name)`` is a class's number.

    Raises:
        SpecError: fewer than two, or a name that is listed twice.

    Example:
        >>> import fer_bench
        >>> moods = fer_bench.label_set(["tense", "calm"])
        >>> moods.names, moods.index("tense"), moods.name
        (('calm', 'tense'), 1, 'classes2_...')
    """
    return label_set_of(read_classes(classes))


def value_set(
    dimensions: str | Sequence[str], scale: tuple[float, float] = (-1.0, 1.0), primary: str = "ccc"
) -> ValueSet:
    """Values of one's own that are predicted together; its ``name`` is that of their task, and the key of their column,
    float (N, D), among a dataset's targets.

    Args:
        dimensions: names of the D values, in the order of the columns.
        scale: (low, high) of all of them, in the dataset's units; networks and losses see them from -1 to 1.
        primary: the metric that ranks and that chooses the epoch, ``ccc`` or ``rmse``.

    Raises:
        SpecError: a name that cannot be one, or no such scale or metric.

    Example:
        >>> import fer_bench
        >>> pain = fer_bench.value_set("pain", scale=(0, 16))
        >>> pain.names, pain.scale, pain.name
        (('pain',), (0.0, 16.0), 'values1_...')
    """
    return read_values(dimensions, scale, primary)
