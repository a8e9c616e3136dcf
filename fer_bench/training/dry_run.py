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
from fer_bench.protocols import Protocol
from fer_bench.results.inputs import find_done
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
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
        found, done = _read(one, store, protocol, device)
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
    if not todo:
        which = (
            f"all {len(folds)} folds"
            if folds
            else str(store.path(protocol.name, spec.model, done.run_id if done else spec.run_id()))
        )
        yield f"record      {which}: done, nothing would be trained"
        return
    threads = f", {counted(torch.get_num_threads(), 'thread')}" if device.accelerator == "cpu" else ""
    yield f"device      {device.accelerator}, {device.precision}{threads}"
    class_counts = counts_of(datamodule, protocol)
    task = build_task(
        spec,
        protocol,
        native_size=first.shape[0],
        class_counts=class_counts,
        pretrained=False,
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
    for_folds = (
        ""
        if not folds
        else f" for {counted(todo, 'fold')}"
        if todo == len(folds)
        else f" for {todo} of {len(folds)} folds, the others are done"
    )
    paces = (
        f"{work.epochs} epochs of {work.steps} steps, {pace.step:.3g} s each ({spec.batch_size / pace.step:.3g}"
        f" {'images' if spec.temporal == 'none' else 'clips'}/s)"
    )
    frozen = spec.temporal != "none" and spec.freeze == "backbone" and not spec.unfreeze_every
    most = " (at most: frozen features are computed once)" if frozen else ""
    yield f"estimate    {in_words(seconds)}{for_folds}: {paces}, {how}{most}"


def _read(spec: RunSpec, store: Store, protocol: Protocol, device: Device) -> tuple[AffectDataModule, Record | None]:
    """The data of a run, and its record where it is done on them."""
    datamodule = build_datamodule(
        spec, batch_size=spec.batch_size // (spec.execution.devices * spec.execution.num_nodes), workers=device.workers
    )
    datamodule.setup()
    # A hub was asked before, if at all.
    gone: list[RecordError] = []
    inputs = fingerprint_here(spec, data_facts(datamodule, protocol), lambda: datamodule, store, gone)
    existing = find_done(store, protocol.name, spec.model, spec.run_id(), inputs)
    if existing is None and gone:
        raise gone[0]
    return datamodule, existing


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
