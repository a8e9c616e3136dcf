"""From a record to networks that predict: of a run, of a probe, or of all members of an ensemble."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch

from fer_bench.deploy.hub.pull import load_from_hub
from fer_bench.deploy.hub.reference import is_hub
from fer_bench.deploy.probe import TrainedProbe, load_probe
from fer_bench.ensembles.choice import join
from fer_bench.ensembles.ensemble_record import read_choice
from fer_bench.ensembles.members import name_of
from fer_bench.errors import RecordError, WeightsError
from fer_bench.models.trained import checkpoint_of, spec_of
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import Execution
from fer_bench.tasks.ensemble import EnsembleTask, Member, View
from fer_bench.training.loading import Trained, load_record, views_of


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
    first: Trained | TrainedProbe


def load_any(
    store: Store, reference: str, execution: Execution | None = None
) -> Trained | TrainedProbe | TrainedEnsemble:
    """Load the network of a trained run, the backbones and the head of a probe, or the members of an ensemble.

    Args:
        store: where its record is.
        reference: run id, as for :meth:`Store.get`; or ``hf:ORG/NAME``, see :mod:`fer_bench.deploy.hub`.
        execution: dataset root directory and device, for later use.

    Raises:
        RecordError: no such record.
        WeightsError: it has no network, or not on this machine.
    """
    if is_hub(reference):
        return load_from_hub(reference, execution)
    record = store.get(reference)
    return load_ensemble(store, record, execution) if record.kind == "ensemble" else _load(store, record, execution)


def _load(store: Store, record: Record, execution: Execution | None) -> Trained | TrainedProbe:
    return load_probe(store, record, execution) if record.kind == "probe" else load_record(record, execution)


def load_ensemble(store: Store, record: Record, execution: Execution | None = None) -> TrainedEnsemble:
    """Load the members of an ensemble, each network once, however many rows of it are members.

    Args:
        store: where the members' records are.
        record: of the ensemble.
        execution: dataset root directory and device, for later use.

    Raises:
        RecordError: the record is not of an ensemble, or a member is not in the store.
        WeightsError: a member has no network (a person, a submission), its checkpoint is not on this machine, or
            members were trained on images of different sizes; by name.
    """
    choice, rule = read_choice(record)
    loaded: dict[str, Trained | TrainedProbe] = {}
    members: list[Member] = []
    for entry in record.training["members"]:
        found = store.find(record.protocol, entry["model"], entry["run_id"])
        if found is None:
            problem = f"ensemble {record.run_id}: its member {entry['model']}/{entry['run_id']} is not in the store."
            raise RecordError(problem, "Restore the member from version control, or build the ensemble again.")
        try:
            members.append(_member(store, found, loaded, execution))
        except WeightsError as error:
            problem = f"ensemble {record.run_id}: member {name_of(found)}: {error.problem}"
            raise WeightsError(problem, error.hint) from None
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


def _member(
    store: Store, record: Record, loaded: dict[str, Trained | TrainedProbe], execution: Execution | None
) -> Member:
    """A member, whose network is put into ``loaded`` where it is not there yet: rows that differ only in how they are
    tested share one.
    """
    views: list[View]
    if record.kind == "probe":
        key, views, precision = f"probe {record.run_id}", [_as_it_is], "32-true"
    else:
        spec = spec_of(record, execution)
        if spec.temporal != "none":
            problem = f"is a temporal model ({spec.temporal}), which takes clips, not single images."
            raise WeightsError(problem, "Predict with its members one by one.")
        key, views = str(checkpoint_of(record, spec)), views_of(spec)
        precision = str(record.hardware.get("precision") or "32-true")
    if key not in loaded:
        loaded[key] = _load(store, record, execution)
    return Member(name_of(record), list(loaded).index(key), views, precision)


def _as_it_is(images: torch.Tensor, first: int | None) -> torch.Tensor:
    return images
