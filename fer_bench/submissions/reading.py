"""How a dataset is read for a protocol whose copies are many: as the user says or, where nothing is said, as the
protocol's records say, if they agree.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fer_bench.errors import SpecError
from fer_bench.protocols import Protocol, info_at_hand
from fer_bench.results.copies import by_copy, read_present
from fer_bench.results.record import Record
from fer_bench.results.store import Store

_OF_ONE = "fold"


@dataclass(frozen=True)
class Reading:
    """The options with which a dataset is read.

    Args:
        options: all of them.
        borrowed: those that nobody has given, but records have.
        records: which have them; empty where none is borrowed.
    """

    options: dict[str, Any]
    borrowed: dict[str, Any] = field(default_factory=dict)
    records: tuple[Record, ...] = ()


def reading_of(store: Store, protocol: Protocol, given: Mapping[str, Any] | None) -> Reading:
    """The options of a user, completed by those of the records of the copy whose table comes first.

    Args:
        store: with records.
        protocol: which declares no copy.
        given: ``dataset_options`` of the user.

    Raises:
        SpecError: the records were read in several ways that agree with what is given.
    """
    options = dict(given or {})
    records = store.records(protocol.name)
    copy = by_copy(protocol, records, read_present(store, protocol.name))[0].records
    ways: list[tuple[dict[str, Any], list[Record]]] = []
    for record in copy:
        # One that was evaluated has the settings of its training, on other data.
        if record.kind not in ("trained", "external"):
            continue
        own = {key: value for key, value in (record.spec.get("dataset_options") or {}).items() if key != _OF_ONE}
        if _whole(record.dataset, own | options) != _whole(record.dataset, own):
            continue
        found = next((way for way in ways if _whole(record.dataset, way[0]) == _whole(record.dataset, own)), None)
        if found is None:
            ways.append((own, [record]))
        else:
            found[1].append(record)
    if not ways:
        return Reading(options)
    if len(ways) > 1:
        wholes = [_whole(of[0].dataset, own) for own, of in ways]
        differing = {key for whole in wholes for key in whole if any(o.get(key) != whole[key] for o in wholes)}
        each = sorted(as_flags({key: whole.get(key) for key in sorted(differing)}) for whole in wholes)
        problem = f"the records of {protocol.name} were read in {len(ways)} ways: {'; '.join(_few(each))}."
        raise SpecError(problem, "Say which of them is meant by giving its options.")
    own, of = ways[0]
    borrowed = {key: value for key, value in own.items() if key not in options}
    return Reading({**own, **options}, borrowed, tuple(of) if borrowed else ())


def _whole(dataset: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the defaults of those that are left out, where they are known."""
    try:
        return {**info_at_hand(dataset).read_options(options).model_dump(mode="json"), **options}
    except SpecError:
        return dict(options)


def as_flags(options: Mapping[str, Any]) -> str:
    """Options as a command line has them."""
    if not options:
        return "no options"
    texts = (f"dataset_options.{key}={json.dumps(value, ensure_ascii=False)}" for key, value in options.items())
    return " ".join(f"--set {shlex.quote(text)}" for text in texts)


def _few(texts: Iterable[str], most: int = 4) -> list[str]:
    listed = list(texts)
    return listed if len(listed) <= most else [*listed[:most], f"and {len(listed) - most} more"]
