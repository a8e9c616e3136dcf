"""What a download writes next to the images: the journal of what is gone, and the table of what is missing."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from fer_bench.atomic import write_atomically
from fer_bench.datasets.download.links import CONTROL_FOLDER
from fer_bench.datasets.findingemo.manifest import MANIFEST, Kept, write_manifest

Outcome = Literal["present", "downloaded", "archived", "gone", "forbidden", "failed", "refused"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
_THERE: tuple[Outcome, ...] = ("present", "downloaded", "archived")


@dataclass(frozen=True)
class DownloadReport:
    """What became of every image of the list.

    Args:
        counts: images by outcome. ``present``: was there and is an image; ``downloaded``; ``archived``: downloaded from
            the Wayback Machine; ``gone``: no link leads to an image any more, now or in an earlier run; ``forbidden``:
            a server refuses to give it (HTTP 403 and its like), and none of the other links leads to an image;
            ``failed``: none did, but one may later (a timeout, an overloaded server); ``refused``: its path cannot be
            stored here or on every system, or its entry is malformed.
        gone_csv: table ``rel_path,outcome,reasons`` of the images that are not there.
        manifest: table of the images that are there, see :mod:`fer_bench.datasets.findingemo.manifest`; None where
            there is none.
        asked: images that were asked for in this run.
        differ: images whose content is another than the manifest says that was to be repeated.
    """

    counts: dict[Outcome, int]
    gone_csv: Path
    manifest: Path | None = None
    asked: int = 0
    differ: int = 0

    @property
    def there(self) -> int:
        """Images that are in the folder now."""
        return sum(self.counts[outcome] for outcome in _THERE)

    @property
    def came(self) -> int:
        """Images that this run brought."""
        return self.there - self.counts["present"]


def read_journal(path: Path) -> dict[str, tuple[set[str], str]]:
    """Images found gone: the links that were asked, and what they said."""
    gone = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                gone[str(entry["rel_path"])] = (set(map(str, entry["urls"])), str(entry["reasons"]))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # a line that a crash cut off: asking again is harmless
    return gone


def note_gone(path: Path, rel_path: str, urls: list[str], reasons: str) -> None:
    """Add an image that is gone to the journal: the links that were asked, now or before, and what they said."""
    with path.open("a", encoding="utf-8") as journal:
        journal.write(json.dumps({"rel_path": rel_path, "urls": urls, "reasons": reasons}) + "\n")


def write_report(
    root: Path, outcomes: dict[str, tuple[Outcome, str]], kept: list[Kept], asked: int, same_as: dict[str, Kept]
) -> DownloadReport:
    """Count outcomes, and write the table of what is missing and the manifest of what is there.

    Args:
        root: the folder of the images.
        outcomes: outcome and reasons of each image.
        kept: what is there.
        asked: images that were asked for.
        same_as: the manifest that was to be repeated; empty: none.
    """
    counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
    counts |= Counter(outcome for outcome, _ in outcomes.values())
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["rel_path", "outcome", "reasons"])
    writer.writerows(
        [*map(_cell, (rel_path, *said))] for rel_path, said in sorted(outcomes.items()) if said[0] not in _THERE
    )
    path = root / CONTROL_FOLDER / "gone.csv"
    write_atomically(path, table.getvalue().encode(errors="backslashreplace"))
    if kept:
        write_manifest(root / MANIFEST, kept)
    differ = sum(entry.id in same_as and same_as[entry.id].sha256 != entry.sha256 for entry in kept)
    return DownloadReport(counts, path, root / MANIFEST if kept else None, asked, differ)


def _cell(text: str) -> str:
    # A spreadsheet would run it as a formula.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def parts_folder(control: Path) -> Path:
    """The folder of unfinished files. Alongside the images, one could have the name of another image."""
    return control / "parts"


def sweep(control: Path) -> None:
    """Remove the unfinished files of a download, this one's or a killed one's."""
    parts = parts_folder(control)
    if parts.is_symlink() or parts.is_file():
        parts.unlink()
    elif parts.is_dir():
        shutil.rmtree(parts)
    for old in control.glob("*.part"):
        old.unlink()
