"""What a download writes next to the images: the journal of what is gone, and the table of what is missing."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fer_bench.atomic import write_atomically

Outcome = Literal["present", "downloaded", "gone", "failed", "refused"]


@dataclass(frozen=True)
class DownloadReport:
    """What became of every image of the list.

    Args:
        counts: images by outcome. ``present``: was there and is an image; ``downloaded``; ``gone``: no link leads to an
            image any more, now or in an earlier run; ``failed``: none did, but one may later (a timeout, an overloaded
            server); ``refused``: its path cannot be stored here or on every system, or its entry is malformed.
        gone_csv: table ``rel_path,outcome,reasons`` of the images that are gone, failed or refused.
    """

    counts: dict[Outcome, int]
    gone_csv: Path


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


def write_report(control: Path, outcomes: dict[str, tuple[Outcome, str]]) -> DownloadReport:
    """Count outcomes, and write the table of what is missing into the folder of the journal."""
    counts: dict[Outcome, int] = {"present": 0, "downloaded": 0, "gone": 0, "failed": 0, "refused": 0}
    counts |= Counter(outcome for outcome, _ in outcomes.values())
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["rel_path", "outcome", "reasons"])
    writer.writerows(
        [*map(_cell, (rel_path, *said))]
        for rel_path, said in sorted(outcomes.items())
        if said[0] in ("gone", "failed", "refused")
    )
    path = control / "gone.csv"
    write_atomically(path, table.getvalue().encode(errors="backslashreplace"))
    return DownloadReport(counts, path)


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
