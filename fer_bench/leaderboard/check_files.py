"""Verify the files of a store, each by itself: what a process is asked for, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fer_bench.errors import FerBenchError, RecordError
from fer_bench.leaderboard.checked import Checked
from fer_bench.leaderboard.differences import Difference
from fer_bench.leaderboard.verify_record import verify_corrupted, verify_record, verify_reproduced
from fer_bench.results import reproductions
from fer_bench.results.grids import SUFFIX, grid_lines
from fer_bench.results.kept import Stamp, stamp
from fer_bench.results.newer import is_newer_version
from fer_bench.results.places import require_place
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.known import unknown_names
from fer_bench.scoring.newer import lacking
from fer_bench.scoring.outside import not_here

# Members of ensembles are read by several of them.
_KEPT_BYTES = 2**26


def check_files(root: Path, files: Sequence[Path]) -> list[Checked]:
    """Verify files.

    Args:
        root: of the store.
        files: of records, grids, scores on corrupted images, or reproductions, in its folder.

    Returns:
        What was found in each.
    """
    # The first look at a file decides: its content may be kept from then on.
    stamps: dict[Path, Stamp] = {}
    touched: set[Path] = set()

    def touch(path: Path) -> None:
        touched.add(path)
        if path not in stamps:
            stamps[path] = stamp(path)

    store = Store(root, kept_bytes=_KEPT_BYTES, touched=touch)
    found = []
    for path in files:
        touched.clear()
        touch(path)
        checked = _check(store, path)
        checked.files = {str(each): stamps[each] for each in sorted(touched)}
        found.append(checked)
    return found


def _check(store: Store, path: Path) -> Checked:
    found = Checked()
    if not path.is_relative_to(store.results):
        check = verify_reproduced if path.is_relative_to(store.root / reproductions.FOLDER) else verify_corrupted
        found.differences += _found_by(check(store, path), path)
        return found
    for place, record in _entries(path):
        if isinstance(record, RecordError):
            found.differences.append(Difference(place, "the file", None, record.problem))
            continue
        found.unknown_fields += record.unknown_fields
        if is_newer_version(record.code.get("version")):
            found.unknown.update({*unknown_names(record.metrics), *unknown_names(record.validation_metrics)})
        if record.status != "finished":
            found.n_without += 1
            continue
        found.n_verified += 1
        found.n_lacking += _lacks_newer(record)
        found.needed.update({f"{name} needs plugin {plugin}" for name, plugin in not_here(record).items()})
        orders = list(found.orders)
        differences = _found_by(verify_record(store, record, place, orders), place)
        if differences and (now := _written_anew(place, record)) is not None:
            orders = list(found.orders)
            differences = _found_by(verify_record(store, now, place, orders), place)
        found.orders = orders
        found.differences += differences
    return found


def _found_by(verification: Iterator[Difference], path: Path) -> list[Difference]:
    """Differences of a file, whatever it contains."""
    found: list[Difference] = []
    try:
        # One by one, so that differences found before an error are kept.
        for difference in verification:
            found.append(difference)
    # A record may say anything, in any type, where the code that recomputes it expects what the suite writes.
    except Exception as error:
        what = error.problem if isinstance(error, FerBenchError) else f"{type(error).__name__}: {error}"
        found.append(Difference(path, "the record", None, f"cannot be verified: {what}"))
    return found


def _lacks_newer(record: Record) -> bool:
    try:
        return bool(lacking(record, protocol_of(record).task.kind))
    except FerBenchError:
        return False


def _written_anew(path: Path, record: Record) -> Record | None:
    """The record of a run that was repeated while the former one was read; None where nothing has changed."""
    try:
        now = Record.load(path, strict=True)
        require_place(now, path)
    except RecordError:
        return None
    return now if now != record and now.status == "finished" else None


def _entries(path: Path) -> Iterator[tuple[Path, Record | RecordError]]:
    """The record of a file, or the records of a grid one by one; the error where the file, or a line of a grid, cannot
    be used.
    """
    try:
        if path.name.endswith(SUFFIX):
            for line in grid_lines(path):
                yield _line(path, line)
        else:
            record = Record.load(path, strict=True)
            require_place(record, path)
            yield path, record
    except RecordError as error:
        yield path, error


def _line(path: Path, line: Record | RecordError) -> tuple[Path, Record | RecordError]:
    if isinstance(line, RecordError):
        return path, line
    try:
        require_place(line, path)
    except RecordError as error:
        return path, error
    return path.with_name(f"{path.name}#{line.run_id}"), line
