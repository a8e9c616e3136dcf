"""Packed copies of a dataset's images: made, completed, and read again to be checked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from fer_bench.apps.disk import size_text
from fer_bench.counting import counted
from fer_bench.data.contents import distrust
from fer_bench.data.packed import pack
from fer_bench.data.packed_copy import damage, stored, unfinished
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
    """Read all packed copies of a dataset again; yields a line about each, and one for each part that is damaged.

    Args:
        spec: of :func:`specified`; where it has a size, only copies of that.

    Raises:
        MissingDataError: there is none.
        BadDataError: a part of one is not as it was written; all have been read by then.
    """
    name, side = build_datamodule(spec, reading=True).name, spec.image_size
    copies = [copy for copy in stored(name) if side is None or side in copy.shape[:2]]
    begun = unfinished(name)
    yield from (f"{folder}: not complete; what is there of it is not used" for folder in begun)
    if not copies:
        problem = f"dataset {spec.dataset!r}: there is no {'whole ' if begun else ''}packed copy."
        does = "completes what was begun" if begun else "makes one"
        raise MissingDataError(problem, f"`fer-bench pack {spec.dataset}` {does}.")
    n_bad = 0
    with distrust():
        for copy in copies:
            bad = damage(copy)
            n_bad += len(bad)
            yield from (f"{copy.folder}: {part}" for part in bad)
            if not bad:
                yield f"{copy.folder}: {counted(copy.n, 'image')}, {copy.form}: as they were written"
    if n_bad:
        problem = (
            f"{counted(n_bad, 'part')} of packed copies of {spec.dataset!r} {'is' if n_bad == 1 else 'are'} damaged."
        )
        raise BadDataError(problem, "The same command without --check writes them again.")
