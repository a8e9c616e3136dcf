"""rescore(): add newer metrics to stored records, from their predictions; stored values do not change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_bench import metric_plugins, metrics
from fer_bench.counting import counted
from fer_bench.errors import FerBenchError, RecordError
from fer_bench.leaderboard.verify_record import verify_record
from fer_bench.metric_plugins import STATED
from fer_bench.registry import unknown_name
from fer_bench.results.grids import SUFFIX, load_grid, record_file
from fer_bench.results.places import require_place
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.newer import lacking, newer_than, with_newer
from fer_bench.scoring.score import resampled_by_sample, score


@dataclass
class Rescored:
    """Outcome of rescoring.

    Args:
        n_done: records that got new metrics.
        n_complete: records that had them all, or have no scores.
        added: names of the metrics.
        refused: why a record was left as it is, one line each.
    """

    n_done: int = 0
    n_complete: int = 0
    added: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """One sentence."""
        names = ", ".join(metric.name for metric in metrics.table() if metric.name in self.added) or "nothing"
        refused = f"; {len(self.refused)} were left as they are" if self.refused else ""
        return f"{names} added to {counted(self.n_done, 'record')}, {self.n_complete} lack nothing{refused}."


def rescore(store: Store, reference: str | None = None, protocol: str | None = None) -> Rescored:
    """Add newer metrics to stored records.

    Args:
        store: records and predictions.
        reference: one run, as :meth:`Store.get` finds it; None: all of the protocol.
        protocol: name; None: all.

    Returns:
        What was done. A record of which anything that is stored does not follow from its predictions is refused, and
        stays as it is to the byte, as does the whole grid that it is in.

    Raises:
        RecordError: no such run, or no record at all.
        UnknownNameError: no record of that protocol.
        PluginError: a metric of a plugin cannot be used.
        HardwareError: the disk is full or read-only.
    """
    metric_plugins.require_plugins()
    done = Rescored()
    for path in _files(store, reference, protocol):
        try:
            found = _load(path)
            now = [_rescored(store, record, path) for record in found]
        except FerBenchError as error:
            done.refused.append(str(error) if str(path) in str(error) else f"{path}: {error}")
            continue
        changed = [(old, new) for old, new in zip(found, now, strict=True) if new is not old]
        if changed and path.name.endswith(SUFFIX):
            store.amend_grid(path, now)
        elif changed:
            store.amend(now[0])
        done.n_done += len(changed)
        done.n_complete += len(found) - len(changed)
        done.added.update(name for old, new in changed for name in new.metrics.keys() - old.metrics.keys())
    return done


def _files(store: Store, reference: str | None, protocol: str | None) -> Iterator[Path]:
    """Files of records; of a run that is named, its own, or that of its grid."""
    if reference is not None:
        record = store.get(reference)
        yield store.folder(record) / record_file(record)
        return
    known = store.protocols()
    if not known:
        problem = f"no record was found in {store.results}: there is nothing to score."
        raise RecordError(problem, "`fer-bench run` makes a first record; FER_BENCH_LEADERBOARDS names another folder.")
    if protocol is not None and protocol not in known:
        raise unknown_name("protocol with records", protocol, known)
    yield from store.files(protocol)
    yield from store.grids(protocol)


def _load(path: Path) -> list[Record]:
    records = load_grid(path) if path.name.endswith(SUFFIX) else [Record.load(path, strict=True)]
    for record in records:
        require_place(record, path)
    return records


def _rescored(store: Store, record: Record, path: Path) -> Record:
    """A record with the metrics that are newer than it; the record itself where it lacks none.

    Raises:
        RecordError: something stored does not follow from its predictions.
    """
    if record.status != "finished":
        return record
    protocol = protocol_of(record)
    if not lacking(record, protocol.task.kind):
        return record
    first = next(verify_record(store, record, path), None)
    if first is not None:
        problem = f"{first}."
        raise RecordError(problem, "Nothing was added: restore the record from version control, or repeat the run.")
    newer = newer_than(record)
    updates: dict[str, Any] = {"metrics_version": max(record.metrics_version, metrics.revision())}

    def completed(stored: Mapping[str, Any], split: str) -> dict[str, Any]:
        by_sample = resampled_by_sample(stored)
        return with_newer(stored, score(protocol, store.predictions(record, split), by_sample=by_sample), newer)

    scored = {"metrics": completed(record.metrics, "test")}
    if record.validation_metrics:
        scored["validation_metrics"] = completed(record.validation_metrics, "validation")
    code = {**record.code, "plugins": (record.code.get("plugins") or {}) | _plugins(record, protocol.task.kind)}
    if code["plugins"]:
        updates["code"] = code
    return record.model_copy(update={**scored, **updates})


def _plugins(record: Record, kind: str) -> dict[str, Any]:
    """What a record comes to say of the plugins that bring its new metrics."""
    added = {f"{STATED}{name}" for name in lacking(record, kind)}
    return {
        key: facts
        for key, facts in metric_plugins.facts(metric.takes for metric in metrics.of_kind(kind)).items()
        if key in added
    }
