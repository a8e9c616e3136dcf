"""What ``fer-bench audit`` says of a copy of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fer_bench.atomic import write_atomically
from fer_bench.counting import counted
from fer_bench.errors import BadDataError, HardwareError, SpecError
from fer_bench.escaping import one_line

if TYPE_CHECKING:
    from fer_bench.data.samples import Images
    from fer_bench.protocols import Protocol


def report(
    dataset: str,
    task: str | None,
    data_dir: str | None,
    pairs: int,
    options: Mapping[str, Any] | None = None,
    figure: Path | None = None,
) -> Iterator[str]:
    """Lines about one copy of a dataset.

    Args:
        dataset: its name.
        task: whose labels are counted; None: the dataset's default task.
        data_dir: dataset root directory.
        pairs: how many duplicate pairs are listed.
        options: of the dataset; of all its folds the first is looked at.
        figure: PNG file for the distribution of the labels; of values only.

    Raises:
        SpecError: a figure is asked for where the labels are classes.
        HardwareError: it cannot be written.
    """
    from fer_bench.data.duplicates import find_duplicates
    from fer_bench.data.joint_distribution import joint_lines
    from fer_bench.data.samples import SPLITS
    from fer_bench.datasets.load import build_datamodule, dataset_there
    from fer_bench.layering import layered
    from fer_bench.protocols import info_of
    from fer_bench.spec import Execution, RunSpec

    options = dict(options or {})
    if "folds" in options or "fold_by" in options:
        options.setdefault("fold", 0)
    dataset = dataset_there(dataset, data_dir)
    if "classes" not in options:
        task = task or str(layered({"dataset": dataset})["task"])
    settings = {
        "dataset": dataset,
        "dataset_options": options,
        "execution": Execution(data_dir=data_dir),
        **({"task": task} if task else {}),
    }
    spec = RunSpec.model_validate(settings)
    dataset, task, protocol = spec.dataset, spec.task, spec.judge
    if figure is not None and protocol.task.kind != "values":
        what = "classes" if protocol.task.kind == "classes" else "several labels"
        problem = f"--figure {figure}: task {task} has {what}, and the figure shows values."
        raise SpecError(problem, "Leave it out: they are counted in the text. Or give --task va.")
    datamodule = build_datamodule(spec, reading=True)
    splits = datamodule.read().split
    # A part of a dataset is described too, as far as it is a test set.
    datamodule.test_only = datamodule.folding is None and not all((splits == split).any() for split in SPLITS)
    datamodule.setup()
    samples = datamodule.read_samples
    yield f"{dataset}: {counted(len(samples), 'sample')}, layout: {samples.layout}"
    labels, labelled = protocol.task.labels, dict[str, npt.NDArray[Any]]()
    for split in SPLITS:
        known = protocol.checksums.get(split)
        checksum = samples.checksums.get(split, "-")
        verdict = (
            ""
            if known is None
            else " (the known copy)"
            if known == checksum
            else " (NOT the known copy: its rows are not ranked)"
        )
        yield f"  {split:10s} {len(samples.where(split)):6d}  checksum {checksum}{verdict}"
        if labels is not None:
            counts = np.bincount(datamodule.targets(split), minlength=len(labels))
            yield "             " + ", ".join(
                f"{name} {count}" for name, count in zip(labels.names, counts, strict=True)
            )
            continue
        values = datamodule.targets(split)
        if not len(values):
            continue
        if protocol.task.kind == "labels":
            yield from _categories(values, protocol.task.dimensions)
            continue
        labelled[split] = values
        for name, column in zip(protocol.task.dimensions, values.T, strict=True):
            yield (
                f"             {name} {column.min():.3f} to {column.max():.3f}, mean {column.mean():.3f}, standard"
                f" deviation {column.std():.3f}"
            )
        if len(protocol.task.dimensions) == 2:
            for line in joint_lines(values, protocol.task.dimensions, protocol.scale):
                yield f"             {line}"
    if figure is not None:
        _draw(figure, dataset, labelled, protocol)
        yield f"  figure: {figure}"
    if unverified := info_of(dataset).unverified:
        yield f"  unverified: {unverified}"
    for note in samples.notes:
        yield f"  note: {note}"
    compared = not (samples.split == "test").all()
    images = _Readable(samples.images)
    found = find_duplicates(images, samples.split) if compared else None
    for path, reason in (*samples.quarantined, *images.problems(samples.ids)):
        yield f"  quarantined: {one_line(path)}: {reason}"
    if images.unreadable:
        bad = counted(len(images.unreadable), "image")
        yield f"  {bad} of this copy cannot be decoded: what is deleted is left out"
    if people := samples.facts.get("people"):
        yield f"  people: {people['n']}, {people['n_in_several_splits']} of them in more than one split"
    if found is None:
        yield "  duplicates: there are no train and validation images to compare the test images with"
        return
    yield from _duplicates(datamodule, found, task, pairs)


def _categories(targets: npt.NDArray[Any], names: Sequence[str]) -> Iterator[str]:
    """How many samples have each category, and how many categories a sample has."""
    counts = targets.astype(np.int64).sum(axis=0)
    yield "             " + ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
    each = targets.astype(np.int64).sum(axis=1)
    yield f"             {each.min()} to {each.max()} categories a sample, mean {each.mean():.2f}"


def _draw(figure: Path, dataset: str, labelled: Mapping[str, npt.NDArray[Any]], protocol: Protocol) -> None:
    from fer_bench.report.value_figures import label_distributions

    png = label_distributions(labelled, protocol.task.dimensions, protocol.scale, f"{dataset}: labels by split")
    try:
        write_atomically(figure, png)
    except OSError as error:
        problem = f"the figure cannot be written to {figure}: {error.strerror or error}."
        raise HardwareError(problem, "Check free space and permissions, or name another file.") from None


class _Readable:
    """Images of a dataset that are decoded when they are asked for; one that cannot be becomes a blank, and no two such
    blanks are alike.
    """

    def __init__(self, images: Images) -> None:
        self._images = images
        self.unreadable: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        try:
            return np.asarray(self._images[index])
        except BadDataError as error:
            self.unreadable[index] = getattr(error, "reason", error.problem)
            return np.zeros((1, index + 1), dtype=np.uint8)

    def problems(self, ids: npt.NDArray[np.str_]) -> list[tuple[str, str]]:
        """Ids and reasons."""
        return [(str(ids[index]), reason) for index, reason in sorted(self.unreadable.items())]


def _duplicates(datamodule: object, found: object, task: str, pairs: int) -> Iterator[str]:
    from fer_bench.data.datamodule import AffectDataModule
    from fer_bench.data.duplicates import NEAR, DuplicatePairs

    assert isinstance(datamodule, AffectDataModule)
    assert isinstance(found, DuplicatePairs)
    samples = datamodule.read_samples
    n_test = len(samples.where("test"))
    exact = int(found.exact.sum())
    near = len(found.test) - exact
    yield (
        f"  duplicates: {exact} of {n_test} test samples occur pixel for pixel in train or validation, "
        f"{near} more nearly so (correlation >= {NEAR}): {len(found.test) / max(n_test, 1):.1%}"
    )
    labels = samples.targets[task]
    if len(found.test) and labels.ndim == 1:
        agree = float((labels[found.test] == labels[found.other]).mean())
        yield f"  of these pairs {agree:.1%} have the same label"
    order = np.argsort(-found.correlation, kind="stable")[:pairs]
    for i in order:
        a, b = int(found.test[i]), int(found.other[i])
        yield (
            f"    {one_line(samples.ids[a])} (test) ~ {one_line(samples.ids[b])} ({samples.split[b]}), correlation"
            f" {found.correlation[i]:.3f}"
        )
