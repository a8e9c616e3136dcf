"""Which names in a record's metrics this version computes, and so can recompute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fer_bench import metrics as table
from fer_bench.metric_entry import RESERVED
from fer_bench.protocols import own_dimensions


def known_part(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics without the names that this version does not compute, at any depth."""
    return {
        name: known_part(value) if isinstance(value, Mapping) else value
        for name, value in metrics.items()
        if _unknown_in(name) is None
    }


def unknown_names(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Names that this version does not compute, at any depth; of ``per_class.kappa.3`` the part that is not known."""
    for name, value in metrics.items():
        unknown = _unknown_in(name)
        if unknown is not None:
            yield unknown
        elif isinstance(value, Mapping):
            yield from unknown_names(value)


def _unknown_in(name: str) -> str | None:
    """The first part of a path of names that is none of ours; positions in a list are nobody's."""
    dimensions = own_dimensions()
    return next(
        (
            part
            for part in name.replace("/", ".").split(".")
            if not part.isdigit() and part not in RESERVED and part not in dimensions and table.get(part) is None
        ),
        None,
    )
