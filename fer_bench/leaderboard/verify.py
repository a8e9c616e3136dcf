"""verify(): recompute every published number from its stored predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_bench.errors import RecordError
from fer_bench.leaderboard.check_files import check_files
from fer_bench.leaderboard.checked import Checked, out_of_order
from fer_bench.leaderboard.differences import NO_RECORD_HINT, VerificationReport
from fer_bench.leaderboard.processes import each_result
from fer_bench.registry import unknown_name
from fer_bench.results import corruptions, reproductions
from fer_bench.results.grids import SUFFIX
from fer_bench.results.kept import Kept, Stamp, stamp
from fer_bench.results.store import Store

# Files that a process is given at once; a grid alone is as much.
_AT_ONCE = 12
# Below this, processes take longer to begin than to verify.
_FEW = 24


def verify(
    store: Store,
    protocols: Sequence[str] | None = None,
    *,
    kept: Kept | None = None,
    everything: bool = True,
    processes: int = 1,
) -> VerificationReport:
    """Recompute the scores of stored records.

    Args:
        store: records and predictions.
        protocols: names of those to verify; none: all.
        kept: where it is kept which files were found without a difference; None: nowhere.
        everything: also verify what has not changed since it was found without a difference.
        processes: at work at the same time.

    Returns:
        Every difference: numbers (floats within 1e-9), outcomes, counts, files that are missing, altered or damaged,
        and test predictions whose samples are not in the order of the other records of the same copy, on which paired
        tests rely. A metric that is newer than a record may be missing from it; such records are counted. Whatever a
        record or its predictions hold, it is a difference of that record, and the others are verified all the same.
        Metrics of a newer version that this one does not compute, and those of plugins that are not here, are counted,
        by name.

    Raises:
        UnknownNameError: a protocol without records, where there are records of others.
        RecordError: a protocol is named, and there is no record at all.
        HardwareError: a process died.
    """
    known = store.protocols()
    for name in protocols or ():
        if not known:
            problem = f"protocol {name!r}: no record was found in {store.results}: nothing was verified."
            raise RecordError(problem, NO_RECORD_HINT)
        if name not in known:
            raise unknown_name("protocol with records", name, known)
    names = sorted(set(protocols)) if protocols else known
    files = {name: [*store.files(name), *store.grids(name)] for name in names}
    # Also of protocols whose last record has been deleted.
    for kind in (corruptions, reproductions):
        for name in names if protocols else sorted({*names, *kind.protocols(store)}):
            files.setdefault(name, []).extend(kind.files(store, name))
    unchanged = {} if kept is None or everything else _unchanged(kept, files)
    changed = {name: [path for path in each if path not in unchanged] for name, each in files.items()}
    found = unchanged | dict(_checked(store.root, changed, processes))
    if kept is not None:
        _keep(kept, files, found, unchanged)
    return _report(store, files, found, sum(one.n_verified for one in unchanged.values()))


def _unchanged(kept: Kept, files: Mapping[str, Sequence[Path]]) -> dict[Path, Checked]:
    """What is kept of files that have not changed, nor any that they depend on."""
    now: dict[str, Stamp] = {}

    def same(path: str, before: Stamp) -> bool:
        if path not in now:
            now[path] = stamp(Path(path))
        return now[path] == before

    found = {}
    for name, each in files.items():
        known = kept.read(f"verified-{name}")
        for path in each:
            content = known.get(str(path))
            if content is not None and all(same(*pair) for pair in content["files"].items()):
                found[path] = Checked.from_json(content)
    return found


def _keep(
    kept: Kept, files: Mapping[str, Sequence[Path]], found: Mapping[Path, Checked], unchanged: Mapping[Path, Checked]
) -> None:
    for name, each in files.items():
        if any(path not in unchanged for path in each):
            sound = {path: found[path] for path in each if not found[path].differences}
            settled = {path: one for path, one in sound.items() if kept.settled(one.files.values())}
            kept.write(f"verified-{name}", {str(path): one.to_json() for path, one in settled.items()})


def _checked(root: Path, files: Mapping[str, Sequence[Path]], processes: int) -> Iterator[tuple[Path, Checked]]:
    """Verify files, by several processes where there are many."""
    # The largest first, so that none is left to wait for at the end.
    ordered = sorted((part for each in files.values() for part in _parts(each)), key=_weight, reverse=True)
    few = sum(map(_weight, ordered)) < _FEW
    results = each_result(check_files, [(root, part) for part in ordered], 1 if few else processes)
    for part, found in zip(ordered, results, strict=True):
        yield from zip(part, found, strict=True)


def _parts(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Files that are verified together: a grid, or some records of a folder."""
    folders: dict[Path, list[Path]] = {}
    for path in files:
        folders.setdefault(path if path.name.endswith(SUFFIX) else path.parent, []).append(path)
    for each in folders.values():
        yield from (each[start : start + _AT_ONCE] for start in range(0, len(each), _AT_ONCE))


def _weight(part: Sequence[Path]) -> int:
    return 4 * _AT_ONCE if part[0].name.endswith(SUFFIX) else len(part)


def _report(
    store: Store, files: Mapping[str, Sequence[Path]], found: Mapping[Path, Checked], n_unchanged: int
) -> VerificationReport:
    inside = [path for each in files.values() for path in each if path.is_relative_to(store.results)]
    others = [path for each in files.values() for path in each if not path.is_relative_to(store.results)]
    ordered = [found[path] for path in (*inside, *others)]
    unknown: Counter[str] = Counter()
    needed: Counter[str] = Counter()
    for one in ordered:
        store.notice.see(one.unknown_fields)
        unknown.update(one.unknown)
        needed.update(one.needed)
    store.notice.give()
    counts: dict[str, Any] = {
        name: sum(getattr(one, name) for one in ordered) for name in ("n_verified", "n_without", "n_lacking")
    }
    return VerificationReport(
        **counts,
        differences=(*(d for one in ordered for d in one.differences), *out_of_order(ordered)),
        looked_in=store.results,
        unknown_metrics=dict(unknown),
        needs_plugins=dict(needed),
        n_unchanged=n_unchanged,
    )
