"""Preview of a run: its settings, its data, and its estimated time on this machine; nothing is written."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence

import torch
import yaml

from fer_bench.counting import counted
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.provenance import data_facts
from fer_bench.data.samples import SPLITS
from fer_bench.datasets.load import build_datamodule
from fer_bench.durations import in_words
from fer_bench.errors import RecordError
from fer_bench.models.initial import initial_weights
from fer_bench.pinning import PINNED
from fer_bench.protocols import Protocol
from fer_bench.results.inputs import find_done, run_id_for
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.tasks.base import AffectTask
from fer_bench.tasks.distilling import METHOD as DISTILL
from fer_bench.training import hardware
from fer_bench.training.build import build_task, check_names, counts_of
from fer_bench.training.fingerprint import fingerprint_here
from fer_bench.training.forecast import estimate, work_of
from fer_bench.training.hardware import Device

# Settings that are printed even at their neutral value.
_ALWAYS = frozenset(
    {
        "dataset",
        "task",
        "model",
        "weights",
        "seed",
        "epochs",
        "batch_size",
        "optimizer",
        "lr",
        "weight_decay",
        "schedule",
        "loss",
        "augment",
    }
)


def describe_run(spec: RunSpec, store: Store, steps: int = 5, folds: Sequence[RunSpec] = ()) -> Iterator[str]:
    """Describe a run, line by line.

    Args:
        spec: the run.
        store: in which its record may be.
        steps: how many are measured for the estimate.
        folds: the runs of a cross-validation.

    Raises:
        FerBenchError: any error that would prevent the run.
    """
    protocol = check_names(spec)
    device = hardware.resolve(spec)
    hardware.keep_freed_memory()
    yield f"run         {spec.run_id()} in protocol {protocol.name}"
    yield "settings"
    yield from (f"  {line}" for line in settings_of(spec).splitlines())
    each = folds or (spec,)
    # The next fold to be trained is measured; the last one if all are done.
    todo = 0
    for one in reversed(each):
        found, done, called = _read(one, store, protocol, device)
        if done is None or not todo:
            datamodule = found
        todo += done is None
    samples = datamodule.read_samples
    counts = {split: len(samples.where(split)) for split in SPLITS}
    first = datamodule.split_dataset("validation").images[0]
    shape = f"{first.shape[1]} x {first.shape[0]} px, {'grey' if first.ndim == 2 else 'RGB'}"
    yield (
        f"data        {', '.join(f'{counts[split]:,} {split}' for split in SPLITS)}{' in a fold' if folds else ''};"
        f" {shape}"
    )
    yield from (f"note        {note}" for note in samples.notes)
    if not todo:
        which = (
            f"all {len(folds)} folds"
            if folds
            else str(store.path(protocol.name, spec.model, done.run_id if done else spec.run_id()))
        )
        yield f"record      {which}: done, nothing would be trained"
        return
    if not folds and called != spec.run_id():
        yield f"record      {called}, for {spec.run_id()} is kept for other data"
    threads = f", {counted(torch.get_num_threads(), 'thread')}" if device.accelerator == "cpu" else ""
    yield f"device      {device.accelerator}, {device.precision}{threads}"
    class_counts = counts_of(datamodule, protocol)
    task = build_task(
        spec,
        protocol,
        native_size=first.shape[0],
        class_counts=class_counts,
        # A file is there; a hub is not asked.
        pretrained=spec.weights.startswith(PINNED),
        taught=_any_answers(spec, protocol, counts),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        pace, how = estimate(spec, task, datamodule, device, steps)
    items = {split: datamodule.items(split) for split in SPLITS}
    work = work_of(spec, items, datamodule.eval_batch("test"))
    seconds = todo * work.seconds(pace) / (spec.execution.devices * spec.execution.num_nodes)
    parameters = sum(parameter.numel() for parameter in task.network.parameters())
    size = task.network.adapter.size if hasattr(task.network, "adapter") else ""
    yield f"network     {parameters / 1e6:.2f} M parameters{f', input {size} px' if size else ''}"
    if spec.weights != "none":
        yield f"weights     {_weights(spec, task)}"
    for_folds = (
        ""
        if not folds
        else f" for {counted(todo, 'fold')}"
        if todo == len(folds)
        else f" for {todo} of {len(folds)} folds, the others are done"
    )
    paces = (
        f"{counted(work.epochs, 'epoch')} of {counted(work.steps, 'step')}, {pace.step:.3g} s each"
        f" ({spec.batch_size / pace.step:.3g} {'images' if spec.temporal == 'none' else 'clips'}/s)"
    )
    frozen = spec.temporal != "none" and spec.freeze == "backbone" and not spec.unfreeze_every
    most = " (at most: frozen features are computed once)" if frozen else ""
    yield f"estimate    {in_words(seconds)}{for_folds}: {paces}, {how}{most}"


def _read(
    spec: RunSpec, store: Store, protocol: Protocol, device: Device
) -> tuple[AffectDataModule, Record | None, str]:
    """The data of a run, its record where it is done on them, and the id that it has, or would have."""
    datamodule = build_datamodule(
        spec, batch_size=spec.batch_size // (spec.execution.devices * spec.execution.num_nodes), workers=device.workers
    )
    datamodule.setup()
    # A hub was asked before, if at all.
    gone: list[RecordError] = []
    facts = data_facts(datamodule, protocol)
    inputs = fingerprint_here(spec, facts, lambda: datamodule, store, gone)
    existing = find_done(store, protocol.name, spec.model, spec.run_id(), inputs)
    if existing is None and gone:
        raise gone[0]
    called = run_id_for(store, protocol.name, spec.model, spec.run_id(), inputs, facts["known_copy"])
    return datamodule, existing, called


def _weights(spec: RunSpec, task: AffectTask) -> str:
    """What the network begins with, as far as it is on this machine."""
    initial = initial_weights(spec, hub=False) or getattr(task.network, "initial", None)
    if initial is not None:
        return str(initial.describe())
    return (
        f"{spec.weights}, not on this machine: a hub is asked for them" if spec.weights == "imagenet" else spec.weights
    )


def _any_answers(spec: RunSpec, protocol: Protocol, counts: dict[str, int]) -> torch.Tensor | None:
    """Placeholder outputs of teachers: they do not affect the time of a step."""
    return (
        torch.full((counts["train"], protocol.task.n_outputs), 1 / protocol.task.n_outputs)
        if spec.method == DISTILL
        else None
    )


def settings_of(spec: RunSpec) -> str:
    """Settings of a run as YAML, as an entry of a suite with ``layered: false`` would state them; what is neutral is
    left out.
    """
    stated = spec.model_dump(mode="json", exclude={"execution"})
    told = {*spec.identity(), *_ALWAYS, *(("recipe",) if spec.recipe else ()), *(("trials",) if spec.trials else ())}
    return yaml.safe_dump({key: value for key, value in stated.items() if key in told}, sort_keys=False, width=110)
