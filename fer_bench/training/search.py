"""Train settings that may be chosen: scored on validation alone, on data that hold no test split."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L

from fer_bench import paths
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.provenance import data_facts
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import FerBenchError, OutOfMemory, RunNanError, SpecError
from fer_bench.models.initial import initial_weights, weights_inputs
from fer_bench.protocols import Protocol
from fer_bench.results.inputs import Inputs, data_inputs, of_training, training_folder
from fer_bench.results.lineage import lineage, require_unseen
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import Execution, RunSpec
from fer_bench.tasks.distilling import METHOD as DISTILL
from fer_bench.training import hardware
from fer_bench.training.build import build_task, check_names, counts_of
from fer_bench.training.callbacks import History
from fer_bench.training.clip_features import attach_features
from fer_bench.training.fingerprint import fingerprint
from fer_bench.training.fit import fit
from fer_bench.training.origin import begun_with, find_origin, placed
from fer_bench.training.run import OF_A_SEARCH, begin_folder, lock

# Gets an epoch, from 0, and its score on validation; says whether training goes on.
Watch = Callable[[int, float], bool]


class Abandoned(Exception):
    """Training was ended because the watcher saw no use in it."""


@dataclass(frozen=True)
class Tried:
    """What came of settings.

    Args:
        value: the protocol's metric on validation, of the epoch that a run of these settings would test.
        epoch: which one, from 1.
        folder: of the training, which a run of these settings takes up.
    """

    value: float
    epoch: int
    folder: Path


def require_searchable(spec: RunSpec) -> Protocol:
    """The protocol of settings that may be searched around.

    Raises:
        SpecError: settings whose trainings cannot be without the test split, or not in one process.
        FerBenchError: as of :func:`~fer_bench.training.build.check_names`.
    """
    if spec.method == DISTILL:
        problem = f"method = {DISTILL!r}: teachers are recognised by all of their data, and a search has no test split."
        raise SpecError(problem, "Tune with method=plain, and distil with the settings that it finds.")
    if spec.execution.devices * spec.execution.num_nodes > 1:
        problem = "a search trains each of its settings on one device."
        raise SpecError(problem, "Leave --devices and --num-nodes out.")
    return check_names(spec)


def open_untested(spec: RunSpec) -> tuple[AffectDataModule, hardware.Device]:
    """The data of settings, read, without their test split; and the device on which they are trained.

    Raises:
        SpecError: validation is the test split.
        MissingDataError: the data are not here.
    """
    device = hardware.resolve(spec)
    datamodule = build_datamodule(spec, workers=device.workers)
    datamodule.untested = True
    datamodule.setup()
    return datamodule, device


def untested_inputs(spec: RunSpec) -> Inputs:
    """What decides the weights that a training of these settings ends with, beside the settings."""
    datamodule, _ = open_untested(spec)
    return of_training(fingerprint(spec, data_facts(datamodule, spec.judge), initial_weights(spec, hub=False)))


def try_settings(spec: RunSpec, store: Store, watch: Watch, wait: float = 0.0) -> Tried:
    """Train settings, or go on with their training from its last epoch, and score them on validation.

    Nothing is tested and no record is written. The folder is that of a run of the same settings, which then trains
    nothing.

    Args:
        spec: the settings.
        store: with the record of the run that they begin with, if any.
        watch: is told every epoch's score.
        wait: seconds to wait for another process that is carrying out the same training.

    Raises:
        Abandoned: the watcher ended it.
        RunNanError: the loss became NaN.
        OutOfMemory: it does not fit into the device.
        FerBenchError: any other error that the user can act on.
    """
    protocol = require_searchable(spec)
    hardware.keep_freed_memory()
    origin = find_origin(spec, store)
    initial = initial_weights(spec)
    datamodule, device = open_untested(spec)
    facts = data_facts(datamodule, protocol)
    networks = [_as_trained(record) for record in lineage(begun_with(spec, origin, store), store)]
    require_unseen(networks, spec.dataset, spec.dataset_options, data_inputs(facts), "weights: ")
    inputs = fingerprint(spec, facts, initial, origin=origin) | weights_inputs(initial)
    spec = placed(spec, origin)
    folder = training_folder(paths.runs_dir(), spec.training_id(), inputs)
    with lock(folder, spec.execution, wait):
        begin_folder(folder, spec, inputs, searched=True)
        L.seed_everything(spec.seed, workers=True, verbose=False)
        native = datamodule.split_dataset("validation").images[0].shape[0]
        counts = counts_of(datamodule, protocol)
        task = build_task(spec, protocol, native_size=native, class_counts=counts, initial=initial)
        attach_features(spec, task, datamodule, device)
        watcher = _Watcher(f"validation/{protocol.primary}", watch)
        try:
            training = fit(spec, protocol, task, datamodule, device, folder, watching=[watcher])
        except (Abandoned, RunNanError, OutOfMemory):
            _empty(folder)
            raise
        return _tried(spec, protocol, training, folder)


def forget(folder: Path) -> None:
    """Remove a training that a search has begun, unless a run has taken it up or is at it."""
    if folder.is_dir():
        with contextlib.suppress(FerBenchError), lock(folder, Execution()):
            _empty(folder)


def _empty(folder: Path) -> None:
    """The lock stays, for who holds it."""
    if not (folder / OF_A_SEARCH).is_file():
        return
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "run.lock":
            path.unlink()


class _Watcher(L.Callback):
    """Tells of every epoch, those before a resume too."""

    def __init__(self, monitor: str, watch: Watch) -> None:
        self.monitor, self.watch = monitor, watch
        self._told = 0

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell, and end the training where the watcher says so."""
        history = next(callback for callback in trainer.callbacks if isinstance(callback, History))
        for epoch in history.epochs[self._told :]:
            value = epoch.get(self.monitor)
            if value is not None and not self.watch(int(epoch["epoch"]), value):
                raise Abandoned
        self._told = len(history.epochs)


def _as_trained(origin: Record) -> Record:
    """A run's record without its test split, to be compared with data that have none."""
    checksums = {key: value for key, value in (origin.data.get("checksums") or {}).items() if key != "test"}
    inputs = of_training(origin.inputs)
    return origin.model_copy(update={"inputs": inputs, "data": {**origin.data, "checksums": checksums}})


def _tried(spec: RunSpec, protocol: Protocol, training: dict[str, Any], folder: Path) -> Tried:
    curve = training["curves"].get(f"validation/{protocol.primary}") or []
    last = int(training["epochs"])
    kept = {"best": int(training["best_epoch"]), "last": last}
    epoch = kept[spec.snapshot] if spec.snapshot in kept else int(spec.snapshot.removeprefix("epoch_"))
    value = curve[epoch - 1] if epoch <= len(curve) else None
    if value is None:
        problem = f"{protocol.primary} on validation is undefined after epoch {epoch}."
        raise SpecError(problem, "Validation may lack a class, or have too few samples; `fer-bench audit` shows it.")
    return Tried(float(value), epoch, folder)
