"""The store: records and predictions in plain files.

``<root>/results/<protocol>/<model>/<run_id>.json`` with ``<run_id>.test.npz`` and ``<run_id>.validation.npz`` next to
it. Predictions are written first, under names that no record has, and the record last, each atomically: at any time a
record refers to existing files, the old or the new ones. Only then are predictions removed that it no longer names.
A writer holds the folder's lock, and removes what killed processes left there, see
:mod:`fer_bench.results.leftovers`. The records of a grid share a file, see :mod:`fer_bench.results.grids`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fer_bench import paths
from fer_bench.errors import FerBenchError, HardwareError, NewerRecordError, RecordError
from fer_bench.npz import is_intact
from fer_bench.predictions import Predictions
from fer_bench.results.borrowing import borrow, lender_of
from fer_bench.results.grids import SUFFIX, StackedPredictions, grid_to_json, load_grid
from fer_bench.results.leftovers import Names, leftovers, sweep_folder
from fer_bench.results.newer import Notice
from fer_bench.results.opened import Opened
from fer_bench.results.places import checked, folder_name, in_place, is_misplaced, require_place
from fer_bench.results.record import Record, with_classes
from fer_bench.results.writing import writing


class Store:
    """All results below one folder.

    Args:
        root: the folder that holds ``results/``; None: the project's ``leaderboards/``.
        kept_bytes: of predictions that are kept in memory once they are read.
        touched: is told of each file before it is looked for, and of each pattern of files.
    """

    def __init__(
        self, root: Path | None = None, *, kept_bytes: int = 0, touched: Callable[[Path], None] | None = None
    ) -> None:
        self.root = root or paths.leaderboards_dir()
        self._opened = Opened(kept_bytes)
        self._touched = touched or (lambda path: None)
        self.notice = Notice(self.results)

    @classmethod
    def at(cls, place: Store | str | os.PathLike[str] | None) -> Store:
        """A store itself, or the store of a folder; None: the project's."""
        return place if isinstance(place, Store) else cls(None if place is None else Path(place))

    @property
    def results(self) -> Path:
        """The folder of records."""
        return self.root / "results"

    def path(self, protocol: str, model: str, run_id: str) -> Path:
        """Where a record is, or would be.

        Raises:
            RecordError: a name that would lead out of the folder.
        """
        return self._folder(protocol, model) / f"{checked(run_id)}.json"

    def find(self, protocol: str, model: str, run_id: str) -> Record | None:
        """A record, of its own file or of a grid's, or None.

        Raises:
            RecordError: it is damaged.
        """
        path = self.path(protocol, model, run_id)
        self._touched(path)
        return Record.load(path) if path.is_file() else self._find_head(path.parent, run_id)

    def _find_head(self, folder: Path, run_id: str) -> Record | None:
        # A grid may hold a hundred records: only one that names the run is taken apart.
        named = f'"{run_id}"'.encode()
        self._touched(folder / f"*{SUFFIX}")
        found = sorted(folder.glob(f"*{SUFFIX}"))
        for path in found:
            self._touched(path)
        grids = (path for path in found if named in path.read_bytes())
        return next((record for path in grids for record in load_grid(path) if record.run_id == run_id), None)

    def find_intact(self, protocol: str, model: str, run_id: str) -> Record | None:
        """A record that can be reused: readable, in the right place, and with all its predictions; None otherwise.

        A run that this does not find is repeated, and its record rewritten.

        Raises:
            NewerRecordError: it is of a schema that only newer versions read.
        """
        record = in_place(self.path(protocol, model, run_id))
        return record if record is not None and self.intact(record) else None

    def find_intact_grid(self, protocol: str, model: str, grid: str) -> list[Record] | None:
        """The records of a grid, as :meth:`find_intact` finds one."""
        path = self.grid_path(protocol, model, grid)
        try:
            records = load_grid(path)
        except NewerRecordError:
            raise
        except RecordError:
            return None
        return (
            records
            if records and not any(is_misplaced(record, path) for record in records) and self.intact(*records)
            else None
        )

    def intact(self, *records: Record) -> bool:
        """Whether all predictions that records name are there, with the bytes and the number of rows that they say;
        files are hashed, not unpacked.
        """
        files = {
            (self.folder(record), entry.file, entry.sha256, entry.n)
            for record in records
            for entry in record.predictions.values()
        }
        return all(
            self._leads_inside(folder / name) and is_intact(folder / name, sha256, n)
            for folder, name, sha256, n in files
        )

    def files(self, protocol: str | None = None) -> list[Path]:
        """All files of single records, sorted."""
        return sorted(
            path for path in self.results.glob(f"{protocol or '*'}/*/*.json") if not path.name.endswith(SUFFIX)
        )

    def grids(self, protocol: str | None = None) -> list[Path]:
        """All files of grids, sorted."""
        return sorted(self.results.glob(f"{protocol or '*'}/*/*{SUFFIX}"))

    def grid_path(self, protocol: str, model: str, grid: str) -> Path:
        """Where a grid is, or would be.

        Raises:
            RecordError: a name that would lead out of the folder.
        """
        return self._folder(protocol, model) / f"{checked(grid)}{SUFFIX}"

    def records(self, protocol: str | None = None) -> Iterator[Record]:
        """All records, in the order of their file names, those of grids last; fields that this version does not know
        are reported once, at the end.

        Raises:
            RecordError: a damaged record, by name; a leaderboard without it would be misleading.
        """
        for path in self.files(protocol):
            record = Record.load(path)
            require_place(record, path)
            self.notice.see(record.unknown_fields)
            yield record
        for path in self.grids(protocol):
            for record in load_grid(path):
                require_place(record, path)
                self.notice.see(record.unknown_fields)
                yield record
        self.notice.give()

    def protocols(self) -> list[str]:
        """Names of the protocols that have a record."""
        folders = sorted(self.results.iterdir()) if self.results.is_dir() else []
        return [folder.name for folder in folders if next(folder.glob("*/*.json"), None) is not None]

    def get(self, reference: str) -> Record:
        """A record by run id (or its beginning), ``protocol/model/run_id``, or the path of its file.

        Raises:
            RecordError: no such record, or more than one.
        """
        record = self._found(reference)
        self.notice.see(record.unknown_fields)
        self.notice.give()
        return record

    def _found(self, reference: str) -> Record:
        if reference.endswith(".json") and Path(reference).is_file():
            return Record.load(Path(reference))
        names = {path: (path.stem, f"{'/'.join(path.parts[-3:-1])}/{path.stem}") for path in self.files()}
        found = [path for path, both in names.items() if any(name.startswith(reference) for name in both)]
        exact = [path for path in found if reference in names[path]]
        found = exact or found
        if len(found) == 1:
            return Record.load(found[0])
        if not found:
            heads = [
                r
                for path in self.grids()
                for r in load_grid(path)
                if f"{r.protocol}/{folder_name(r.model)}/{r.run_id}".startswith(reference)
            ]
            heads = heads or [r for path in self.grids() for r in load_grid(path) if r.run_id.startswith(reference)]
            if len(heads) == 1:
                return heads[0]
            if not heads and (lender := lender_of(self)) is not None:
                with contextlib.suppress(RecordError):
                    return borrow(self, lender, lender.get(reference))
        problem = (
            f"{'no record matches' if not found else f'{len(found)} records match'} {reference!r} in {self.results}."
        )
        hint = "Give more of the run id." if found else "`fer-bench list runs` shows all of them."
        raise RecordError(problem, hint)

    def borrow(self, protocol: str) -> None:
        """In scratch mode, copy the project's records of a protocol (grids excepted); otherwise do nothing."""
        if (lender := lender_of(self)) is not None:
            for path in lender.files(protocol):
                borrow(self, lender, Record.load(path))

    def folder(self, record: Record) -> Path:
        """The folder of a record and its predictions."""
        return self._folder(record.protocol, record.model)

    def _folder(self, protocol: str, model: str) -> Path:
        return self.results / checked(protocol) / folder_name(model)

    @staticmethod
    def _leads_inside(path: Path) -> bool:
        """Whether a file is in the folder of its path, not behind a link that leads out."""
        try:
            return path.resolve().parent == path.parent.resolve()
        except (OSError, RuntimeError):
            return False

    def predictions(self, record: Record, split: str = "test") -> Predictions:
        """Load a record's predictions, checked against its hash.

        Raises:
            RecordError: it has none of that split, or the file is missing, another, elsewhere, or has another number of
                rows.
        """
        entry = record.predictions.get(split)
        if entry is None:
            problem = f"record {record.run_id} has no {split} predictions."
            raise RecordError(problem)
        path = self.folder(record) / entry.file
        self._touched(path)
        if not self._leads_inside(path):
            problem = f"{path}: the predictions file is a link that leads out of the record's folder."
            raise RecordError(problem, "Put the file itself there, or repeat the run.")
        named = path, entry.sha256, entry.n
        if entry.head is not None:
            return self._opened.get(*named, StackedPredictions.load).of(entry.head)
        return self._opened.get(*named, Predictions.load) if self._opened.most_bytes else Predictions.load(*named)

    def put(
        self,
        record: Record,
        predictions: Mapping[str, Predictions] | None = None,
        figures: Mapping[str, bytes] | None = None,
        *,
        called: Callable[[], str] | None = None,
    ) -> Record:
        """Write or rewrite predictions and record; readers see the old state or the new one, never a mixture.

        Args:
            record: without its ``predictions`` entries, which are filled in here.
            predictions: by split.
            figures: by the end of their names, one of :data:`~fer_bench.results.leftovers.FIGURES`; ``<run_id>.<end>``
                shows the record next to it, or is not there.
            called: gives the run id, evaluated under the lock of the folder; None: the record's own.

        Returns:
            The record as written.

        Raises:
            HardwareError: the disk is full or read-only; nothing half-written stays.
        """
        contents = {split: (content.to_bytes(), len(content)) for split, content in (predictions or {}).items()}
        with writing(self.folder(record)) as place:
            if called is not None and (run_id := called()) != record.run_id:
                record = under_id(record, run_id)
            pictures = {f"{record.run_id}.{end}": content for end, content in (figures or {}).items()}
            name = self.path(record.protocol, record.model, record.run_id).name
            entries = {split: place.place(record.run_id, split, *content) for split, content in contents.items()}
            for picture in pictures:
                (place.folder / picture).unlink(missing_ok=True)
            done = with_classes(record).model_copy(update={"predictions": entries})
            place.record(name, done.to_json(), entries.values())
            for picture, content in pictures.items():
                place.figure(picture, content)
        return done

    def amend(self, record: Record) -> Record:
        """Rewrite a record whose predictions stay unchanged.

        Args:
            record: with its ``predictions`` entries; not of a grid.

        Returns:
            The record.

        Raises:
            RecordError: its predictions are no longer there: it was rewritten meanwhile.
            HardwareError: the disk is full or read-only; the former record stays.
        """
        path = self.path(record.protocol, record.model, record.run_id)
        self._amend(path, f"record {record.run_id}: the predictions that it names", [record], record.to_json())
        return record

    def amend_grid(self, path: Path, records: Sequence[Record]) -> None:
        """Rewrite the records of a grid whose predictions stay unchanged, as :meth:`amend` does.

        Args:
            path: the grid's file.
            records: all of its records, with their ``predictions`` entries.

        Raises:
            RecordError: their predictions are no longer there.
            HardwareError: the disk is full or read-only; the former grid stays.
        """
        self._amend(path, f"{path}: the predictions that the grid names", records, grid_to_json(records))

    def _amend(self, path: Path, what: str, records: Sequence[Record], content: str) -> None:
        with writing(path.parent) as place:
            if not self.intact(*records):
                problem = f"{what} are not there; it was rewritten meanwhile, or is damaged."
                raise RecordError(problem, "Run the same command again.")
            place.record(path.name, content, [entry for record in records for entry in record.predictions.values()])

    def put_grid(
        self, grid: str, records: Sequence[Record], predictions: Mapping[str, StackedPredictions]
    ) -> list[Record]:
        """Write the records of a grid and their predictions, as :meth:`put` does.

        Args:
            grid: its name.
            records: one per head, of one protocol and model, without their ``predictions`` entries, which are filled in
                here.
            predictions: by split; head h belongs to record h.

        Returns:
            The records as written.

        Raises:
            HardwareError: the disk is full or read-only; nothing half-written stays.
        """
        contents = {split: (content.to_bytes(), len(content)) for split, content in predictions.items()}
        path = self.grid_path(records[0].protocol, records[0].model, grid)
        with writing(path.parent) as place:
            entries = {split: place.place(f"{grid}.grid", split, *content) for split, content in contents.items()}
            done = [
                with_classes(record).model_copy(
                    update={
                        "predictions": {split: entry.model_copy(update={"head": h}) for split, entry in entries.items()}
                    }
                )
                for h, record in enumerate(records)
            ]
            place.record(path.name, grid_to_json(done), entries.values())
        self._opened.clear()
        return done

    def sweep(self, records: Iterable[Record], protocols: Iterable[str]) -> None:
        """Remove what killed processes left in folders of results.

        Args:
            records: all of these protocols; only folders with a file that none of them names are locked and looked
                into again.
            protocols: names.
        """
        names: dict[Path, tuple[list[Names], set[str]]] = {}
        for record in records:
            named, stems = names.setdefault(self.folder(record), ([], set()))
            named.append({entry.file: entry.sha256 for entry in record.predictions.values()})
            stems.add(f"{record.run_id}.json")
        for folder in sorted(folder for name in protocols for folder in (self.results / name).glob("*")):
            if leftovers(folder, *names.get(folder, ([], set()))):
                sweep_folder(folder)

    def require_space(self, n_bytes: int = 64 * 2**20) -> None:
        """Refuse to begin what could not be written down in the end.

        Raises:
            HardwareError: less than ``n_bytes`` are free, or nothing may be written there.
        """
        place = next(folder for folder in (self.results, *self.results.parents) if folder.exists())
        try:
            free = shutil.disk_usage(place).free
        except OSError as error:
            problem = f"{place}: {error}."
            raise FerBenchError(problem) from None
        if free < n_bytes:
            problem = f"the disk of {place} has {free // 2**20} MiB free."
            raise HardwareError(problem, f"Free at least {n_bytes // 2**20} MiB.")
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            why = "may not be written to" if place.is_dir() else "is no folder"
            problem = f"records cannot be kept in {self.root}: {place} {why}."
            raise HardwareError(problem, "Fix its permissions, or name another folder with FER_BENCH_LEADERBOARDS.")


def under_id(record: Record, run_id: str) -> Record:
    """A run's record under another id, and in the row of that."""
    return record.model_copy(update={"run_id": run_id, "row": run_id.replace(f"-s{record.seed}", "", 1)})
