"""Writing into a folder of results, one process at a time; nothing half-written stays."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fer_bench.atomic import locked, write_atomically
from fer_bench.errors import HardwareError
from fer_bench.npz import is_intact
from fer_bench.results.leftovers import Names, names_in_folder, sweep
from fer_bench.results.record import PredictionsFile


@dataclass
class OpenFolder:
    """A folder that is being written."""

    folder: Path
    names: dict[str, Names] = field(default_factory=dict)

    def place(self, stem: str, split: str, content: bytes, n: int) -> PredictionsFile:
        """Write predictions under a name that no record uses for another file."""
        sha256 = hashlib.sha256(content).hexdigest()
        others = {name for names in self.names.values() for name, stated in (names or {}).items() if stated != sha256}
        candidates = (f"{stem}.{split}.npz", *(f"{stem}.{sha256[:digits]}.{split}.npz" for digits in (8, 16, 64)))
        name = next(name for name in candidates if name not in others)
        path = self.folder / name
        if path.is_symlink() or not is_intact(path, sha256, n):
            write_atomically(path, content)
        return PredictionsFile(file=name, sha256=sha256, n=n)

    def record(self, name: str, content: str, entries: Iterable[PredictionsFile]) -> None:
        """Write the file of a record or of a grid."""
        write_atomically(self.folder / name, content.encode())
        self.names[name] = {entry.file: entry.sha256 for entry in entries}

    def figure(self, name: str, content: bytes) -> None:
        """Write a figure that shows a record."""
        write_atomically(self.folder / name, content)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[OpenFolder]:
    """Hold a folder, know what its records name, and leave nothing behind that none of them does.

    Raises:
        HardwareError: the disk is full or read-only.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder) as alone:
            place = OpenFolder(folder, names_in_folder(folder))
            try:
                yield place
            except BaseException:
                # How far it came, the disk knows.
                place.names = names_in_folder(folder)
                raise
            finally:
                if alone:
                    sweep(folder, place.names)
    except OSError as error:
        problem = f"the result cannot be written to {folder}: {error.strerror or error}."
        raise HardwareError(
            problem,
            "Free some space or fix the permissions, and run the same command again; training is not repeated.",
        ) from None
