"""``fer-bench cost``: measure a network once, and keep what it costs beside the records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fer_bench.errors import FerBenchError, RecordError, SpecError
from fer_bench.leaderboard.costs import Energy, energy_of
from fer_bench.models.catalog import find_model
from fer_bench.models.trained import native_size, recall, spec_of
from fer_bench.models.zoo import build_specified
from fer_bench.protocols import info_of
from fer_bench.results import costs
from fer_bench.results.costs import Cost
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec, build

if TYPE_CHECKING:
    from fer_bench.training.hardware import Device

Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """What a network costs.

    Args:
        cost: of one view of one face.
        views: that a run averages.
        energy: of its training, where it is a run.
    """

    cost: Cost
    views: int = 1
    energy: Energy | None = None


def cost_of_run(store: Store, reference: str, device: Device, *, timed: bool = True, again: bool = False) -> Measured:
    """Measure the network of a run, if that was not done before.

    Args:
        store: of the record, and of what is measured.
        reference: as for :meth:`Store.get`.
        device: that is timed.
        timed: whether it is; what is counted does not depend on a machine.
        again: also where it was done.

    Raises:
        RecordError: it has no network of its own, with what to do instead.
    """
    # A cross-validation has one network a fold, and was trained as long as all of them.
    asked = record = store.get(reference)
    if record.data.get("folds"):
        record = store.get(str(record.data["folds"][0]))
    network = costs.network_of(record)
    if network is None:
        problem = f"run {record.run_id} (kind {record.kind}) has no network that takes one image."
        members = [str(one["run_id"]) for one in record.training.get("members") or ()]
        hint = f"Measure its members: {', '.join(members[:3])}, ..." if members else "Choose a run of kind 'trained'."
        raise RecordError(problem, hint)
    recall(record)
    found = _measured(store, network, spec_of(record), native_size(record, spec_of(record)), device, timed, again)
    return Measured(found, max(int(record.spec.get("tta") or 0), 1), energy_of(asked))


def cost_of_model(store: Store, settings: dict[str, Any], device: Device, *, timed: bool, again: bool) -> Measured:
    """Measure a network that nobody has to have trained.

    Args:
        store: for what is measured.
        settings: as ``fer-bench run`` takes them, composed.
        device: that is timed.
        timed: whether it is.
        again: also where it was measured.

    Raises:
        SpecError: a temporal model.
        UnknownNameError: no such network.
    """
    spec = build(settings, "the command line")
    if spec.temporal != "none":
        problem = f"temporal = {spec.temporal!r}: what a clip costs depends on its length."
        raise SpecError(problem, "Measure the network below it: leave --temporal out.")
    side = spec.image_size or find_model(spec.model).image_size or 48
    channels = info_of(spec.dataset).channels or 3
    outputs = spec.judge.task.n_outputs
    network = costs.describe(spec.model, spec.model_options, side=side, channels=channels, outputs=outputs)
    return Measured(_measured(store, network, spec, side, device, timed, again), max(spec.tta, 1))


def cost_of_all(
    store: Store, protocols: Iterable[str], device: Device, *, timed: bool, again: bool, say: Say = print
) -> int:
    """Measure every network of some boards that was not measured; returns how many were.

    Args:
        store: of the records.
        protocols: names of the boards.
        device: that is timed.
        timed: whether it is.
        again: also what was measured.
        say: is told of each.
    """
    done: set[str] = set()
    for protocol in protocols:
        for record in store.records(protocol):
            network = _network_of(record)
            if network is None or costs.key_of(network) in done:
                continue
            done.add(costs.key_of(network))
            if not again and _is_done(costs.find(store, network), device, timed):
                continue
            try:
                recall(record)
                spec = spec_of(record)
                found = _measured(store, network, spec, native_size(record, spec), device, timed, again)
            except FerBenchError as error:
                say(f"{record.model}: left out: {error.problem}")
                continue
            say(f"{record.model} at {network['side']} px: {found.macs / 1e6:,.1f} M multiply-adds")
    return len(done)


def _network_of(record: Record) -> dict[str, Any] | None:
    if record.status != "finished" or record.data.get("folds"):
        return None
    return costs.network_of(record)


def _is_done(found: Cost | None, device: Device, timed: bool) -> bool:
    return found is not None and (not timed or any(one.device == device.accelerator for one in found.timings))


def _measured(
    store: Store,
    network: dict[str, Any],
    spec: RunSpec,
    native: int,
    device: Device,
    timed: bool,
    again: bool,
) -> Cost:
    found = costs.find(store, network)
    if found is not None and not again and _is_done(found, device, timed):
        return found
    import torch

    from fer_bench.training.measure import measure, multiply_adds

    built = build_specified(spec, network["outputs"], native_size=native, pretrained=False).eval()
    shape = (network["channels"], network["side"], network["side"])
    found = Cost(
        network=network,
        parameters=sum(parameter.numel() for parameter in built.parameters()),
        macs=multiply_adds(built, torch.zeros((1, *shape), dtype=torch.uint8)),
        timings=[] if found is None else found.timings,
    )
    if timed:
        found = found.with_timing(measure(built, shape, device.device))
    costs.put(store, found)
    return found
