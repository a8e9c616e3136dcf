"""Datasets from outside the package: a subclass of :class:`AffectDataModule`, or a function that reads
:class:`Samples`.
"""

from __future__ import annotations

import inspect
import traceback
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench import paths
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import SPLITS, Samples, content_order, sample_digests, split_checksum
from fer_bench.errors import BadDataError, FerBenchError, PluginError, SpecError
from fer_bench.plugins import Plugin
from fer_bench.protocols import find_task, info_of, protocol_for
from fer_bench.registry import unknown_name


def datamodule_of(plugin: Plugin) -> type[AffectDataModule]:
    """The datamodule class of a plugin, whose samples are checked as they are read.

    Raises:
        PluginError: it cannot be imported, or is neither a datamodule class nor a function.
    """
    made, stated = plugin.load(), info_of(plugin.name)
    if inspect.isclass(made) and issubclass(made, AffectDataModule):
        if getattr(made.read, "__isabstractmethod__", False):
            problem = f"{plugin.described}: {plugin.reference} has no method read."
            raise PluginError(problem, "Implement read(self), which returns Samples.")
        return type(made.__name__, (_Checked, made), {"plugin": plugin, "info": stated})
    if inspect.isclass(made) or not callable(made):
        what = (
            f"a class that is not an AffectDataModule ({made.__name__})"
            if inspect.isclass(made)
            else f"a {type(made).__name__}"
        )
        problem = f"{plugin.described}: {plugin.reference} is {what}."
        raise PluginError(
            problem,
            "Name a subclass of fer_bench.data.datamodule.AffectDataModule, or a function called as read(data_dir,"
            " **dataset_options).",
        )
    try:
        inspect.signature(made).bind("")
    except (TypeError, ValueError) as error:
        problem = f"{plugin.described}: {plugin.reference} cannot be called with a data folder alone ({error})."
        raise PluginError(
            problem, "It is called as read(data_dir, **dataset_options); give its options defaults."
        ) from None
    content = {"plugin": plugin, "reader": staticmethod(made), "info": stated}
    return type("PluginDataModule", (_Checked, _ByFunction), content)


class _ByFunction(AffectDataModule):
    """Reads by a plugin's function."""

    reader: Any

    def __init__(self, task: str, **settings: Any) -> None:
        super().__init__(task, **settings)
        parameters = inspect.signature(self.reader).parameters
        names = list(parameters)[1:]
        for key in self.options:
            if key not in names and not any(
                parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
            ):
                kind = "option"
                unknown = unknown_name(kind, key, names)
                problem = f"dataset_options: dataset {self.name!r}: {unknown.problem}"
                raise SpecError(problem, unknown.hint if names else "It has none.")

    def read(self) -> Samples:
        """What the function gives for the data root and the dataset's options."""
        found: Samples = self.reader(str(paths.data_root(self.data_dir)), **self.options)
        return found


class _Checked(AffectDataModule):
    """What any dataset from outside must be."""

    plugin: Plugin

    def read(self) -> Samples:
        """The samples, checked, with checksums of their content where the plugin gives none."""
        try:
            samples = super().read()  # type: ignore[safe-super]
        except (FerBenchError, ImportError):
            raise
        except Exception as error:  # readers raise whatever they meet
            place = traceback.extract_tb(error.__traceback__)[-1]
            detail = next(iter(str(error).splitlines()), "") or "no detail"
            where = f"line {place.lineno} of {place.filename}"
            problem = (
                f"{self.plugin.described}: reading it raises {type(error).__name__} ({detail[:200].rstrip('.')};"
                f" {where})."
            )
            raise PluginError(problem, "Fix its reader, or the data that it reads.") from None
        scale = protocol_for(self.plugin.name, self.task).scale
        return complete(samples, self.task, self.plugin.described, scale)


def complete(samples: Any, task: str, what: str, scale: tuple[float, float] = (-1.0, 1.0)) -> Samples:
    """Check samples that a plugin has read.

    Args:
        samples: what the plugin gave.
        task: that is asked for.
        what: the plugin, for the error.
        scale: (low, high) of the task's values.

    Returns:
        The samples; where they have no checksums, with those of their pixels and labels.

    Raises:
        BadDataError: they are not what :class:`Samples` says.
    """
    if not isinstance(samples, Samples):
        _refuse(what, f"gives a {type(samples).__name__}, not fer_bench.data.samples.Samples")
    n = len(samples.ids)
    if not samples.targets:
        _refuse(what, "its samples have no targets")
    columns = {"images": samples.images, "split": samples.split, **samples.targets, **samples.columns}
    for name, column in (columns if samples.groups is None else {**columns, "groups": samples.groups}).items():
        if len(column) != n:
            _refuse(what, f"{name!r} has {len(column)} entries for {n} ids")
    samples.ids, samples.split = np.asarray(samples.ids).astype(np.str_), np.asarray(samples.split).astype(np.str_)
    samples.targets = {name: np.asarray(column) for name, column in samples.targets.items()}
    if len(np.unique(samples.ids)) != n:
        _refuse(what, "some ids occur more than once")
    if unknown := sorted(set(samples.split.tolist()) - set(SPLITS)):
        _refuse(what, f"unknown split {unknown[0]!r}: it is one of {', '.join(SPLITS)}")
    samples.columns = {name: np.asarray(column) for name, column in samples.columns.items()}
    samples.groups = None if samples.groups is None else _people(samples.groups, "groups", what)
    if "identity" in samples.columns:
        samples.columns["identity"] = _people(samples.columns["identity"], "columns['identity']", what)
    for i in range(min(n, 2)):
        _check_image(what, samples.ids[i], samples.images[i])
    if task in samples.targets:
        _check_targets(what, samples.targets[task], task, scale)
    if not samples.checksums:
        _fingerprint(samples, samples.targets.get(task, next(iter(samples.targets.values()))), what)
    return samples


def _people(given: Any, name: str, what: str) -> npt.NDArray[Any]:
    """Who or what each sample belongs to; nobody in particular is no person: all of them would be one."""
    found = np.asarray(given)
    if found.ndim != 1:
        _refuse(what, f"{name} has shape {found.shape}, not one entry a sample")
    absent = [one is None or one != one or not str(one).strip() for one in found.tolist()]
    if any(absent):
        _refuse(what, f"{name} is empty for {sum(absent)} of {len(absent)} samples, where everybody must have a name")
    # Numbers stay: by them folds are cut in another order than by their digits.
    return found if found.dtype.kind in "iu" else found.astype(np.str_)


def _check_image(what: str, name: str, image: Any) -> npt.NDArray[np.uint8]:
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)) or not array.size:
        _refuse(
            what, f"the image of {name} has shape {array.shape} and type {array.dtype}, not uint8 (H, W) or (H, W, 3)"
        )
    return array


class _Alike:
    """Images of a plugin as they are looked at for the first time: each must be like the first, since batches are made
    of them.
    """

    def __init__(self, samples: Samples, what: str) -> None:
        self._samples, self._what = samples, what

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        ids, images = self._samples.ids, self._samples.images
        found = _check_image(self._what, ids[index], images[index])
        if found.shape != (shape := np.asarray(images[0]).shape):
            _refuse(self._what, f"the image of {ids[index]} has shape {found.shape}, that of {ids[0]} {shape}")
        return found


def _check_targets(what: str, targets: npt.NDArray[Any], task: str, scale: tuple[float, float]) -> None:
    chosen = find_task(task)
    if chosen.labels is not None:
        if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
            _refuse(
                what,
                f"targets[{task!r}] has shape {targets.shape} and type {targets.dtype}, not integer class numbers (N,)",
            )
        if len(targets) and not -1 <= targets.min() <= targets.max() < len(chosen.labels):
            _refuse(
                what,
                f"targets[{task!r}] holds {targets.min()} to {targets.max()}, not 0 to {len(chosen.labels) - 1} (or -1"
                " for none)",
            )
    elif targets.shape[1:] != (len(chosen.dimensions),) or not np.issubdtype(targets.dtype, np.floating):
        _refuse(
            what,
            f"targets[{task!r}] has shape {targets.shape} and type {targets.dtype}, not floating-point values (N,"
            f" {len(chosen.dimensions)})",
        )
    # NaN is a sample without a value: it is left out.
    elif len(known := targets[~np.isnan(targets)]) and not scale[0] <= known.min() <= known.max() <= scale[1]:
        _refuse(
            what,
            f"targets[{task!r}] holds {known.min():g} to {known.max():g}, beyond the scale of {scale[0]:g} to"
            f" {scale[1]:g}",
        )


def _fingerprint(samples: Samples, targets: npt.NDArray[Any], what: str) -> None:
    images = samples.images if isinstance(samples.images, np.ndarray) else _Alike(samples, what)
    digests = sample_digests(images, targets)
    samples.checksums = {
        split: split_checksum(digests[samples.where(split)]) for split in SPLITS if len(samples.where(split))
    }
    samples.facts.setdefault(
        "order", {split: content_order(digests[samples.where(split)]) for split in samples.checksums}
    )


def _refuse(what: str, why: str) -> None:
    problem = f"{what}: {why}."
    raise BadDataError(problem, "See docs/plugins.md for what a dataset must give.")
