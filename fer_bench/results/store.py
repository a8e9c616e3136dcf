"""The store: records and predictions in plain files; the one place that writes them.

``<root>/results/<protocol>/<model>/<run_id>.json`` with ``<run_id>.test.npz`` and ``<run_id>.validation.npz`` beside it. Predictions are put in place first
and the record last, each atomically, so a record never names what is not there. Processes write different files, so none can lose another's. The records of a
grid share a file, see :mod:`fer_bench.results.grids`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fer_bench import paths
from fer_bench.errors import FerBenchError, HardwareError, RecordError
from fer_bench.predictions import Predictions, write_atomically
from fer_bench.results.grids import SUFFIX, StackedPredictions, grid_to_json, load_grid
from fer_bench.results.record import PredictionsFile, Record, with_classes


def folder_name(model: str) -> str:
    """A model's name as a folder name (``timm:x`` becomes ``timm_x``)."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in model)


class Store:
    """All results below one folder.

    Args:
        root: the folder that holds ``results/``; None: the project's ``leaderboards/``.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or paths.leaderboards_dir()
        # The records of a grid follow each other: one file is enough.
        self._opened: tuple[Path, str, StackedPredictions] | None = None

    @property
    def results(self) -> Path:
        """The folder of records."""
        return self.root / "results"

    def path(self, protocol: str, model: str, run_id: str) -> Path:
        """Where a record lies, or would lie."""
        return self.results / protocol / folder_name(model) / f"{run_id}.json"

    def find(self, protocol: str, model: str, run_id: str) -> Record | None:
        """A record, or None."""
        path = self.path(protocol, model, run_id)
        return Record.load(path) if path.is_file() else None

    def files(self, protocol: str | None = None) -> list[Path]:
        """All files of single records, sorted."""
        return sorted(path for path in self.results.glob(f"{protocol or '*'}/*/*.json") if not path.name.endswith(SUFFIX))

    def grids(self, protocol: str | None = None) -> list[Path]:
        """All files of grids, sorted."""
        return sorted(self.results.glob(f"{protocol or '*'}/*/*{SUFFIX}"))

    def grid_path(self, protocol: str, model: str, grid: str) -> Path:
        """Where a grid lies, or would lie."""
        return self.results / protocol / folder_name(model) / f"{grid}{SUFFIX}"

    def records(self, protocol: str | None = None) -> Iterator[Record]:
        """All records, in the order of their file names, those of grids last.

        Raises:
            RecordError: a damaged record, by name; a leaderboard made of the rest would be a lie by omission.
        """
        for path in self.files(protocol):
            record = Record.load(path)
            if record.protocol != path.parent.parent.name or record.run_id != path.stem:
                problem = f"{path}: the record says it is {record.protocol}/{record.run_id}."
                raise RecordError(problem, "Move it back to where it belongs.")
            yield record
        for path in self.grids(protocol):
            yield from load_grid(path)

    def protocols(self) -> list[str]:
        """Names of the protocols that have a record."""
        return sorted({path.parent.parent.name for path in [*self.files(), *self.grids()]})

    def get(self, reference: str) -> Record:
        """A record by run id (or its beginning), ``protocol/model/run_id``, or the path of its file.

        Raises:
            RecordError: no such record, or more than one.
        """
        if reference.endswith(".json") and Path(reference).is_file():
            return Record.load(Path(reference))
        found = [path for path in self.files() if path.stem.startswith(reference) or f"{'/'.join(path.parts[-3:-1])}/{path.stem}".startswith(reference)]
        exact = [path for path in found if path.stem == reference]
        found = exact or found
        if len(found) == 1:
            return Record.load(found[0])
        if not found:
            heads = [r for path in self.grids() for r in load_grid(path) if f"{r.protocol}/{folder_name(r.model)}/{r.run_id}".startswith(reference)]
            heads = heads or [r for path in self.grids() for r in load_grid(path) if r.run_id.startswith(reference)]
            if len(heads) == 1:
                return heads[0]
        problem = f"{'no record matches' if not found else f'{len(found)} records match'} {reference!r} in {self.results}."
        hint = "Give more of the run id." if found else "`fer-bench list runs` shows all of them."
        raise RecordError(problem, hint)

    def folder(self, record: Record) -> Path:
        """The folder of a record and its predictions."""
        return self.path(record.protocol, record.model, record.run_id).parent

    def predictions(self, record: Record, split: str = "test") -> Predictions:
        """Load a record's predictions, checked against its hash.

        Raises:
            RecordError: it has none of that split, or the file is missing or another.
        """
        entry = record.predictions.get(split)
        if entry is None:
            problem = f"record {record.run_id} has no {split} predictions."
            raise RecordError(problem)
        path = self.folder(record) / entry.file
        if entry.head is None:
            return Predictions.load(path, entry.sha256)
        if self._opened is None or self._opened[:2] != (path, entry.sha256):
            self._opened = (path, entry.sha256, StackedPredictions.load(path, entry.sha256))
        return self._opened[2].of(entry.head)

    def put(self, record: Record, predictions: Mapping[str, Predictions] | None = None) -> Record:
        """Write predictions and record.

        Args:
            record: without its ``predictions`` entries, which are filled in here.
            predictions: by split.

        Returns:
            The record as written.

        Raises:
            HardwareError: the disk is full or read-only; nothing half-written stays.
        """
        folder = self.folder(record)
        entries: dict[str, PredictionsFile] = {}
        try:
            for split, content in (predictions or {}).items():
                name = f"{record.run_id}.{split}.npz"
                data = content.to_bytes()
                write_atomically(folder / name, data)
                entries[split] = PredictionsFile(file=name, sha256=hashlib.sha256(data).hexdigest(), n=len(content))
            done = with_classes(record).model_copy(update={"predictions": entries})
            write_atomically(folder / f"{record.run_id}.json", done.to_json().encode())
        except OSError as error:
            problem = f"the result cannot be written to {folder}: {error.strerror or error}."
            raise HardwareError(problem, "Free some space and give the same command again; training is not repeated.") from None
        return done

    def amend(self, record: Record) -> Record:
        """Write a record anew whose predictions stay as they are.

        Args:
            record: with its ``predictions`` entries; not of a grid.

        Returns:
            The record.

        Raises:
            HardwareError: the disk is full or read-only; the former record stays.
        """
        path = self.path(record.protocol, record.model, record.run_id)
        try:
            write_atomically(path, record.to_json().encode())
        except OSError as error:
            problem = f"the record cannot be written to {path.parent}: {error.strerror or error}."
            raise HardwareError(problem, "Free some space and give the same command again.") from None
        return record

    def put_grid(self, grid: str, records: Sequence[Record], predictions: Mapping[str, StackedPredictions]) -> list[Record]:
        """Write the records of a grid and their predictions.

        Args:
            grid: its name.
            records: one per head, of one protocol and model, without their ``predictions`` entries, which are filled in here.
            predictions: by split; head h belongs to record h.

        Returns:
            The records as written.

        Raises:
            HardwareError: the disk is full or read-only; nothing half-written stays.
        """
        path = self.grid_path(records[0].protocol, records[0].model, grid)
        entries: dict[str, PredictionsFile] = {}
        try:
            for split, content in predictions.items():
                data = content.to_bytes()
                name = f"{grid}.grid.{split}.npz"
                write_atomically(path.parent / name, data)
                entries[split] = PredictionsFile(file=name, sha256=hashlib.sha256(data).hexdigest(), n=len(content))
            done = [
                with_classes(record).model_copy(update={"predictions": {split: entry.model_copy(update={"head": h}) for split, entry in entries.items()}})
                for h, record in enumerate(records)
            ]
            write_atomically(path, grid_to_json(done).encode())
        except OSError as error:
            problem = f"the result cannot be written to {path.parent}: {error.strerror or error}."
            raise HardwareError(problem, "Free some space and give the same command again.") from None
        self._opened = None
        return done

    def require_space(self, n_bytes: int = 64 * 2**20) -> None:
        """Refuse to begin what could not be written down in the end.

        Raises:
            HardwareError: less than ``n_bytes`` are free.
        """
        place = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
        try:
            free = shutil.disk_usage(place).free
        except OSError as error:
            problem = f"{place}: {error}."
            raise FerBenchError(problem) from None
        if free < n_bytes:
            problem = f"the disk of {place} has {free // 2**20} MiB free."
            raise HardwareError(problem, f"Free at least {n_bytes // 2**20} MiB.")
