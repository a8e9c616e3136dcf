"""What a row costs: its networks, its views, and the energy that its training took; pure except for reading files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fer_bench.results import costs
from fer_bench.results.costs import Cost, Timing
from fer_bench.results.record import Record
from fer_bench.results.store import Store

# Watts of a busy core, of server processors at their rated power; and of GPUs at theirs, by part of the name.
WATTS_OF_CORE = 6.0
WATTS_OF_GPU = {
    "H200": 700.0,
    "H100 PCIe": 350.0,
    "H100": 700.0,
    "A100": 400.0,
    "V100": 300.0,
    "L40S": 350.0,
    "L4": 72.0,
    "A10": 150.0,
    "T4": 70.0,
    "RTX 4090": 450.0,
    "RTX 3090": 350.0,
}
ASSUMED = f"training time x rated power: {WATTS_OF_CORE:g} W for each thread of a processor, a GPU at its rated power"

FindCost = Callable[[Mapping[str, Any]], Cost | None]
FindRecord = Callable[[str, str, str], Record | None]


class RowCost(NamedTuple):
    """What one face costs.

    Args:
        parameters: of all networks.
        macs: multiply-adds, of all networks and all views.
        timings: of one network and one view, where it was timed; of several nobody has measured how long they take.
    """

    parameters: int
    macs: int
    timings: tuple[Timing, ...] = ()


class Energy(NamedTuple):
    """What a training took.

    Args:
        seconds: of all folds.
        kwh: an estimate; None where the hardware's power is not known.
        watts: that it assumes.
    """

    seconds: float
    kwh: float | None
    watts: float | None


def cost_of(record: Record, cost: FindCost, find: FindRecord) -> RowCost | None:
    """What one face costs a record: its network, or all members of an ensemble, each as often as it has views.

    Args:
        record: of a row.
        cost: gives the cost of a network.
        find: gives a record by protocol, model and run id.

    Returns:
        None where a network of it was not measured, or it has none.
    """
    if record.kind == "ensemble":
        members = [
            find(record.protocol, str(one["model"]), str(one["run_id"])) for one in record.training.get("members") or ()
        ]
        # Rows that differ in their views share a network, but not their answers.
        parts = [None if one is None else cost_of(one, cost, find) for one in members]
        known = [part for part in parts if part is not None]
        if not known or len(known) < len(parts):
            return None
        return RowCost(sum(part.parameters for part in known), sum(part.macs for part in known))
    if folds := record.data.get("folds"):
        # All folds have the same network.
        fold = find(record.protocol, record.model, str(folds[0]))
        return None if fold is None else cost_of(fold, cost, find)
    network = costs.network_of(record)
    found = None if network is None else cost(network)
    if found is None:
        return None
    views = max(int(record.spec.get("tta") or 0), 1)
    return RowCost(found.parameters, found.macs * views, tuple(found.timings) if views == 1 else ())


def finder(store: Store) -> FindCost:
    """Gives costs from a store, each file read once."""
    known: dict[str, Cost | None] = {}

    def find(network: Mapping[str, Any]) -> Cost | None:
        key = costs.key_of(network)
        if key not in known:
            known[key] = costs.find(store, network)
        return known[key]

    return find


def energy_of(record: Record) -> Energy | None:
    """What the training of a record took; None where it does not say how long it was."""
    seconds = record.training.get("seconds") or sum((record.training.get("grid_seconds") or {}).values())
    if not isinstance(seconds, int | float) or seconds <= 0:
        return None
    watts = _watts(record.hardware)
    return Energy(float(seconds), None if watts is None else seconds * watts / 3.6e6, watts)


def _watts(hardware: Mapping[str, Any]) -> float | None:
    gpu = hardware.get("gpu")
    if isinstance(gpu, str):
        named = next((w for name, w in WATTS_OF_GPU.items() if re.search(rf"\b{re.escape(name)}\b", gpu)), None)
        return None if named is None else named * int(hardware.get("devices") or 1)
    threads = hardware.get("threads") or hardware.get("cores")
    return WATTS_OF_CORE * threads if isinstance(threads, int) else None
