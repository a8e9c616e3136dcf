"""A manifest: which of FindingEmo's images somebody had, so that others can use the same subset.

Links rot, so every copy is another subset. ``fer-bench download`` writes what there is as a table; the dataset's option
``manifest`` takes such a table and reads just its images.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fer_bench.atomic import write_atomically
from fer_bench.datasets.findingemo.annotations import image_id
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.escaping import csv_text, csv_value

MANIFEST = "manifest.csv"
_COLUMNS = ("rel_path", "bytes", "sha256", "url")


@dataclass(frozen=True)
class Kept:
    """One image of a manifest.

    Args:
        rel_path: as the list of links gives it, without a leading slash.
        size: of the file, in bytes.
        sha256: of its content, hexadecimal.
        url: where it came from; empty where that is not known.
    """

    rel_path: str
    size: int
    sha256: str
    url: str = ""

    @property
    def id(self) -> str:
        """The image's id, see :func:`~fer_bench.datasets.findingemo.annotations.image_id`."""
        return image_id(self.rel_path)


def content_of(path: Path) -> tuple[int, str]:
    """Size in bytes and sha256 of a file."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(path: Path, kept: Iterable[Kept]) -> None:
    """Write a manifest, sorted by path, replaced as a whole."""
    rows = sorted((k.rel_path, k.size, k.sha256, k.url) for k in kept)
    write_atomically(path, csv_text(_COLUMNS, *rows).encode())


def read_manifest(path: Path) -> dict[str, Kept]:
    """Read a manifest.

    Args:
        path: of the CSV; ``rel_path`` and ``sha256`` are needed, ``bytes`` and ``url`` are not.

    Returns:
        Image id to entry, in the order of the file.

    Raises:
        MissingDataError: there is no such file.
        BadDataError: it is no manifest, or lists an image twice; names the line.
    """
    if not path.is_file():
        problem = f"{path}: no such manifest."
        raise MissingDataError(problem, f"`fer-bench download findingemo` writes one, {MANIFEST}, beside the images.")
    kept: dict[str, Kept] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            lacking = [name for name in ("rel_path", "sha256") if name not in (reader.fieldnames or [])]
            if lacking:
                found = ", ".join(reader.fieldnames or [])[:200] or "nothing"
                problem = f"{path}, line 1: column {lacking[0]!r} is missing; found: {found}."
                raise BadDataError(problem, f"A manifest has the columns {', '.join(_COLUMNS)}.")
            for row in reader:
                entry = _entry(row, f"{path}, line {reader.line_num}")
                if kept.setdefault(entry.id, entry) is not entry:
                    problem = f"{path}, line {reader.line_num}: {entry.rel_path} is listed twice."
                    raise BadDataError(problem)
    except (UnicodeDecodeError, csv.Error) as error:
        problem = f"{path} is not a CSV of images: {error}."
        raise BadDataError(problem) from error
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror or error}."
        raise BadDataError(problem, "Check the disk and the permissions.") from error
    if not kept:
        problem = f"{path} lists no image."
        raise BadDataError(problem, "It was written by a download that found none.")
    return kept


def _entry(row: Mapping[str, str | None], where: str) -> Kept:
    rel_path, digest = csv_value(row["rel_path"] or ""), (row["sha256"] or "").strip().lower()
    if not image_id(rel_path):
        problem = f"{where}: rel_path is blank."
        raise BadDataError(problem)
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        problem = f"{where}: sha256 is {digest[:80]!r}, not 64 hexadecimal digits."
        raise BadDataError(problem)
    size = (row.get("bytes") or "0").strip()
    known = int(size) if size.isascii() and size.isdigit() else 0
    return Kept(rel_path.lstrip("/"), known, digest, csv_value(row.get("url") or ""))


def manifest_digest(kept: Mapping[str, Kept]) -> str:
    """Sha256 over sorted ``id TAB sha256 NEWLINE`` lines: equal for two manifests of the same images with the same
    content, wherever they came from.
    """
    lines = sorted(f"{name}\t{entry.sha256}\n" for name, entry in kept.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()
