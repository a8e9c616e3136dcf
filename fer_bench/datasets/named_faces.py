"""Datasets of posed faces whose file names say who shows what: JAFFE and KDEF, in any folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_bench.data import cache
from fer_bench.data.decoding import images_below

# Codes of classes in names, and FER7's classes.
CODES = {
    "AF": "fear",
    "AN": "angry",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprise",
}
_SHOWN = 3


@dataclass(frozen=True)
class Named:
    """Pictures whose names follow a pattern.

    Args:
        root: the folder in which they were found.
        files: relative, with slashes, in natural order.
        matches: of the pattern with each name.
        others: names of pictures that do not follow it.
    """

    root: Path
    files: list[str]
    matches: list[re.Match[str]]
    others: list[str]

    @property
    def notes(self) -> list[str]:
        """What to say of the others."""
        if not self.others:
            return []
        shown = ", ".join(self.others[:_SHOWN]) + (", ..." if len(self.others) > _SHOWN else "")
        return [f"{len(self.others)} pictures left out, whose names do not follow the dataset's: {shown}"]


def find_named(dataset: str, data_dir: str | None, pattern: re.Pattern[str], looked_for: Sequence[str]) -> Named:
    """Find the pictures of a dataset by their names.

    Args:
        dataset: its name.
        data_dir: the data root or the dataset's folder; None: the usual places.
        pattern: must match a whole name, suffix included.
        looked_for: examples of names, for the error.

    Raises:
        MissingDataError: no picture is called so.
    """
    places = cache.candidates(dataset, data_dir)
    for root in places:
        paths = images_below(root) if root.is_dir() else []
        matches = [pattern.fullmatch(path.name) for path in paths]
        if any(matches):
            files = [path.relative_to(root).as_posix() for path, match in zip(paths, matches, strict=True) if match]
            others = [path.name for path, match in zip(paths, matches, strict=True) if not match]
            return Named(root, files, [match for match in matches if match], others)
    raise cache.missing(dataset, looked_for, places)
