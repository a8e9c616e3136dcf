"""Loading a finished training: from a run's reference to a network that predicts, or from an ensemble's to all of
its members.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fer_bench.ensembles.choice import join
from fer_bench.ensembles.ensemble_record import read_choice
from fer_bench.ensembles.members import name_of
from fer_bench.errors import RecordError, WeightsError
from fer_bench.models.trained import checkpoint_of, load_recorded, native_size, recall, spec_of
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import Execution, RunSpec
from fer_bench.tasks.base import AffectTask
from fer_bench.tasks.ensemble import EnsembleTask, Member, View
from fer_bench.training.build import build_task
from fer_bench.training.inference import fixed_views, random_views


@dataclass(frozen=True)
class Trained:
    """A trained network and where it comes from.

    Args:
        record: of the run.
        spec: of the run.
        protocol: under which it was scored.
        task: with the best epoch's weights, in evaluation mode.
        native_size: side of the images that it was trained on, in pixels.
    """

    record: Record
    spec: RunSpec
    protocol: Protocol
    task: AffectTask
    native_size: int


@dataclass(frozen=True)
class TrainedEnsemble:
    """The trained members of an ensemble, ready to be combined.

    Args:
        record: of the ensemble.
        protocol: under which it was scored.
        task: with every network in evaluation mode.
        native_size: side of the images that all members were trained on, in pixels.
        first: the first member's training; all are fed like it.
    """

    record: Record
    protocol: Protocol
    task: EnsembleTask
    native_size: int
    first: Trained


def load_any(store: Store, reference: str, execution: Execution | None = None) -> Trained | TrainedEnsemble:
    """Load the network of a trained run, or the members of an ensemble; arguments and errors as of those two
    functions.
    """
    record = store.get(reference)
    return load_ensemble(store, record, execution) if record.kind == "ensemble" else load_record(record, execution)


def load_run(store: Store, reference: str, execution: Execution | None = None) -> Trained:
    """Load a trained network.

    Args:
        store: where its record is.
        reference: run id, as for :meth:`Store.get`.
        execution: dataset root directory and device, for later use.

    Raises:
        RecordError: no such record.
        WeightsError: its checkpoint is not on this machine.
    """
    return load_record(store.get(reference), execution)


def load_record(record: Record, execution: Execution | None = None) -> Trained:
    """As :func:`load_run`, of a record."""
    spec = spec_of(record, execution)
    checkpoint = checkpoint_of(record, spec)
    recall(record)
    protocol, native = spec.judge, native_size(record, spec)
    task = build_task(spec, protocol, native_size=native, pretrained=False)
    load_recorded(task, task.network, record, checkpoint)
    return Trained(record, spec, protocol, task.eval(), native)


def load_ensemble(store: Store, record: Record, execution: Execution | None = None) -> TrainedEnsemble:
    """Load the members of an ensemble, each network once, however many rows of it are members.

    Args:
        store: where the members' records are.
        record: of the ensemble.
        execution: dataset root directory and device, for later use.

    Raises:
        RecordError: the record is not of an ensemble, or a member is not in the store.
        WeightsError: a member has no network (a probe, a person), its checkpoint is not on this machine, or members
            were trained on images of different sizes; by name.
    """
    choice, rule = read_choice(record)
    loaded: dict[Path, Trained] = {}
    members: list[Member] = []
    for entry in record.training["members"]:
        found = store.find(record.protocol, entry["model"], entry["run_id"])
        if found is None:
            problem = f"ensemble {record.run_id}: its member {entry['model']}/{entry['run_id']} is not in the store."
            raise RecordError(problem, "Restore the member from version control, or build the ensemble again.")
        try:
            spec = spec_of(found, execution)
            if spec.temporal != "none":
                problem = f"is a temporal model ({spec.temporal}), which takes clips, not single images."
                raise WeightsError(problem, "Predict with its members one by one.")
            checkpoint = checkpoint_of(found, spec)
            if checkpoint not in loaded:
                loaded[checkpoint] = load_record(found, execution)
        except WeightsError as error:
            problem = f"ensemble {record.run_id}: member {name_of(found)}: {error.problem}"
            raise WeightsError(problem, error.hint) from None
        precision = str(found.hardware.get("precision") or "32-true")
        members.append(Member(name_of(found), list(loaded).index(checkpoint), _views(spec), precision))
    sizes = {trained.native_size: name_of(trained.record) for trained in loaded.values()}
    if len(sizes) > 1:
        problem = (
            f"ensemble {record.run_id}: its members were trained on images of different sizes"
            f" ({', '.join(f'{v}: {k} px' for k, v in sizes.items())})."
        )
        raise WeightsError(problem, "Predict with the members one by one, or build an ensemble of members of one size.")
    first = next(iter(loaded.values()))
    task = EnsembleTask([trained.task for trained in loaded.values()], members, partial(join, choice, rule))
    return TrainedEnsemble(record, first.protocol, task.eval(), first.native_size, first)


def with_views(trained: Trained) -> AffectTask | EnsembleTask:
    """The module that predicts as a run's row does: its network, averaged over the views of its test-time augmentation
    if any.
    """
    if not trained.spec.tta:
        return trained.task
    return EnsembleTask(
        [trained.task], [Member(name_of(trained.record), 0, _views(trained.spec))], lambda outputs: outputs[0]
    )


def _views(spec: RunSpec) -> list[View]:
    if spec.tta and spec.tta_kind == "random":
        return list(random_views(spec))
    return [lambda images, first, change=change: change(images) for change in fixed_views(spec)]  # type: ignore[misc]
