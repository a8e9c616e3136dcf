"""The commands that repeat a row."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from fer_bench.errors import FerBenchError
from fer_bench.escaping import one_line
from fer_bench.layering import layered
from fer_bench.results.record import Record
from fer_bench.spec import build

_NOT_SETTINGS = frozenset({"dataset", "model", "seed", "recipe", "execution"})
_REPRODUCED = ("trained", "probe", "ensemble")
# Of `fer-bench ensemble`, by the names that its records give them.
_OF_ENSEMBLES = {"rule": "--rule", "order": "--order", "selection": "--selection", "bags": "--bags"}


def command(record: Record) -> str:
    """What one types to make a run again and to hear whether it came out the same; empty where no command does.

    Args:
        record: of any kind; of a row with several seeds, one of them.
    """
    if record.kind in _REPRODUCED:
        return _typed(["fer-bench", "reproduce", record.run_id])
    return _typed({"evaluated": _evaluate, "human": _people}.get(record.kind, _nothing)(record))


def from_settings(record: Record) -> str:
    """What one types to make a run from its settings alone, any of which may be changed; empty where no command does,
    as where today's defaults have options that the record has not: no flag takes them away.
    """
    return _typed({"trained": _run, "ensemble": _ensemble}.get(record.kind, _nothing)(record))


def _typed(words: list[str]) -> str:
    return one_line(" ".join(map(shlex.quote, words)))


def _nothing(record: Record) -> list[str]:
    return []


def settings(record: Record) -> list[tuple[str, str]]:
    """Every setting by its name, options by theirs."""
    return [(one_line(name), one_line(text)) for name, text in _flat(record.spec) if name not in ("execution",)]


def _run(record: Record) -> list[str]:
    given = {name: value for name, value in record.spec.items() if name not in _NOT_SETTINGS and not _is_nothing(value)}
    first = {"dataset": record.dataset, "model": record.model, "seed": record.seed}
    first |= {name: record.spec[name] for name in first if name in record.spec}
    usual = _usual({**first, "task": record.task})
    unusual = {name: value for name, value in given.items() if usual.get(name) != value}
    for chosen in (unusual, given):
        if _is_exact({**first, **chosen}, record.row):
            words = [word for name, value in first.items() if value is not None for word in (f"--{name}", _text(value))]
            sets = [word for name, value in chosen.items() for word in ("--set", f"{name}={_text(value)}")]
            return ["fer-bench", "run", *words, *sets]
    return []


def _usual(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return layered(given)
    except FerBenchError:
        return {}


def _is_nothing(value: Any) -> bool:
    return value is None or value in ({}, [], "")


def _is_exact(given: Mapping[str, Any], row: str) -> bool:
    """Whether a command with these settings is of the row, with the defaults of today."""
    try:
        return build(layered(given)).digest() == row
    except FerBenchError:
        return False


def _evaluate(record: Record) -> list[str]:
    run = str(record.training.get("run") or record.run_id.split("-by-")[0].split("-on-")[0])
    judged = (record.data.get("judged_by") or {}).get("labels")
    return ["fer-bench", "evaluate", run, *(["--labels", str(judged)] if judged else ["--on", record.dataset])]


def _ensemble(record: Record) -> list[str]:
    members = record.training.get("members") or []
    words = ["fer-bench", "ensemble", "--protocol", record.protocol]
    for name, flag in _OF_ENSEMBLES.items():
        if record.spec.get(name) not in (None, "", 0):
            words += [flag, str(record.spec[name])]
    named = [str(member["run_id"]) for member in members if isinstance(member, Mapping) and "run_id" in member]
    return words + (["--members", ",".join(named)] if named else [])


def _people(record: Record) -> list[str]:
    return ["fer-bench", "human-baseline", record.dataset]


def _flat(spec: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    for name, value in spec.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
