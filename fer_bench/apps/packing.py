"""Packed copies of a dataset's images: made, completed, and read again to be checked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from fer_bench.apps.disk import size_text
from fer_bench.data.contents import distrust
from fer_bench.data.packed import damaged, pack, stored
from fer_bench.datasets.load import build_datamodule, dataset_class, dataset_there
from fer_bench.durations import in_words
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.layering import layered
from fer_bench.spec import RunSpec, build

_EVERY_SECONDS = 10.0


def specified(dataset: str, settings: Mapping[str, Any], execution: Mapping[str, Any]) -> RunSpec:
    """What is packed, as the settings of a run.

    Args:
        dataset: its name.
        settings: options, task and size of the images; of those that are left out, the dataset's own.
        execution: where the data are.

    Raises:
        FerBenchError: an unknown name, or a value that cannot be used.
    """
    dataset_class(dataset)
    dataset = dataset_there(dataset, execution.get("data_dir"))
    own: dict[str, Any] = {"dataset": dataset, **settings, "execution": {**execution, "images": "packed"}}
    if "task" not in own and "classes" not in own.get("dataset_options", {}):
        own["task"] = str(layered({"dataset": dataset})["task"])
    return build(own, "the command line")


def packing(spec: RunSpec, jobs: int = 0) -> Iterator[str]:
    """Make a packed copy, or complete one; yields lines about it.

    Args:
        spec: of :func:`specified`.
        jobs: threads that decode; 0: one per core.

    Raises:
        FerBenchError: the dataset cannot be read, its images are not decoded from files, or the disk is full.
    """
    datamodule = build_datamodule(spec, reading=True)
    images = datamodule.read().images
    began = said = time.monotonic()
    for layout, done in pack(datamodule.name, images, jobs):
        now = time.monotonic()
        if now - said > _EVERY_SECONDS:
            said = now
            yield f"{done:,} of {layout.n:,} images"
    shape, size = " x ".join(map(str, layout.shape)), size_text(layout.n_bytes)
    yield f"{spec.dataset}: {layout.n:,} images of {shape}, {size}, in {in_words(time.monotonic() - began)}"
    yield str(layout.folder)


def checked(spec: RunSpec) -> Iterator[str]:
    """Read all packed copies of a dataset again; yields a line about each.

    Args:
        spec: of :func:`specified`; where it has a size, only copies of that.

    Raises:
        MissingDataError: there is none.
        BadDataError: a part of one is not as it was written.
    """
    name, side = build_datamodule(spec, reading=True).name, spec.image_size
    copies = [copy for copy in stored(name) if side is None or side in copy.shape[:2]]
    if not copies:
        problem = f"dataset {spec.dataset!r}: there is no packed copy."
        raise MissingDataError(problem, f"`fer-bench pack {spec.dataset}` makes one.")
    with distrust():
        for copy in copies:
            if bad := damaged(copy):
                problem = f"the packed copy {copy.folder} is damaged: {', '.join(bad)}."
                raise BadDataError(problem, "The same command without --check writes these parts again.")
            yield f"{copy.folder}: {copy.n:,} images, {copy.form}: as they were written"
