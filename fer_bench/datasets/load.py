"""From a spec to a datamodule; imports a dataset's module only when it is asked for."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from fer_bench import plugins
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.errors import PluginError, SpecError
from fer_bench.models.temporal_options import temporal_options
from fer_bench.own_data import TABLE
from fer_bench.pinning import file_digest
from fer_bench.protocols import DATASETS, dataset_name, declared, unknown_dataset
from fer_bench.spec import RunSpec


def dataset_class(name: str) -> type[AffectDataModule]:
    """The datamodule class of a dataset; that of a plugin is imported.

    Raises:
        UnknownNameError: with suggestions.
        PluginError: a plugin cannot be imported, or is no dataset.
    """
    info = declared(name)
    if info is not None:
        module, _, attribute = info.datamodule.partition(":")
        found: type[AffectDataModule] = getattr(importlib.import_module(module), attribute)
        return found
    if name.partition(":")[0] in DATASETS or (plugin := plugins.find("dataset", name)) is None:
        raise unknown_dataset(name)
    from fer_bench.datasets.outside import datamodule_of

    return datamodule_of(plugin)


def dataset_there(name: str, data_dir: str | None) -> str:
    """The dataset that a folder holds under a name that stands for two.

    Args:
        name: as the user gave it.
        data_dir: the data root or the dataset's folder; None: the usual places.

    Returns:
        ``ferplus_generated`` for ``ferplus`` where only the authors' generated layout is there, whose votes are others;
        every other name as it is.
    """
    if name != "ferplus":
        return name
    from fer_bench.datasets.ferplus.module import is_generated_alone

    return "ferplus_generated" if is_generated_alone(data_dir) else name


def build_datamodule(
    spec: RunSpec, *, batch_size: int | None = None, workers: int = 0, reading: bool = False
) -> AffectDataModule:
    """Build the datamodule that a spec names, without reading anything yet.

    Args:
        spec: the run.
        batch_size: per process; None: the spec's.
        workers: loader processes.
        reading: without batches, and so without PyTorch.
    """
    kind = dataset_class(spec.dataset)
    labels = Path(spec.execution.labels_file or spec.labels) if spec.labels else None
    if labels is not None and file_digest(labels) != spec.labels:
        problem = f"label file {labels} has changed since the run was specified."
        raise SpecError(problem, "Run the command again.")
    options: dict[str, Any] = {
        key: spec.execution.place_of(v) if isinstance(v, str) else v for key, v in spec.dataset_options.items()
    }
    more: dict[str, Any] = (
        {"file": Path(spec.execution.table_file)}
        if spec.dataset.startswith(TABLE) and spec.execution.table_file
        else {}
    )
    settings: dict[str, Any] = dict(
        name=dataset_name(spec.dataset),
        data_dir=spec.execution.data_dir,
        batch_size=batch_size or spec.batch_size,
        seed=spec.seed,
        augment=spec.augment,
        augment_options=dict(spec.augment_options),
        augment_on=spec.augment_on,
        target_mode=spec.target_mode,
        image_size=spec.image_size,
        workers=workers,
        labels=labels,
        options=options,
        **more,
    )
    try:
        datamodule = kind.reading(spec.task, **settings) if reading else kind(spec.task, **settings)
    except TypeError as error:
        if kind.plugin is None:
            raise
        problem = f"{kind.plugin.described} cannot be built: {error}."
        raise PluginError(
            problem, "Its class takes what AffectDataModule takes; its own settings are in self.options."
        ) from None
    datamodule.images_from = spec.execution.images
    if (temporal := temporal_options(spec)) is not None:
        datamodule.clip_frames = temporal.frames
    return datamodule
