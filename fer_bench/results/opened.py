"""Predictions files that were read last, so that records which share one, or ensembles which share members, read it
once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy.typing as npt

from fer_bench.predictions import Predictions
from fer_bench.results.grids import StackedPredictions

Held = TypeVar("Held", Predictions, StackedPredictions)
# The two splits of a grid: its records are read one after the other.
_FEWEST = 2


class Opened:
    """What was read last, by file and by what its record says of it.

    Args:
        most_bytes: of arrays that are kept; the last two files are kept whatever their size.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._held: OrderedDict[tuple[Path, str, int], Predictions | StackedPredictions] = OrderedDict()
        self._n_bytes = 0

    def get(self, path: Path, sha256: str, n: int, load: Callable[[Path, str, int], Held]) -> Held:
        """The content of a file with this digest and number of rows; read where it is not kept."""
        key = (path, sha256, n)
        if key not in self._held:
            self._held[key] = found = load(path, sha256, n)
            self._n_bytes += _size(found)
            while self._n_bytes > self.most_bytes and len(self._held) > _FEWEST:
                self._n_bytes -= _size(self._held.popitem(last=False)[1])
        self._held.move_to_end(key)
        return cast(Held, self._held[key])

    def clear(self) -> None:
        """Keep nothing."""
        self._held.clear()
        self._n_bytes = 0


def _size(held: Predictions | StackedPredictions) -> int:
    common = held.common if isinstance(held, StackedPredictions) else held
    columns: list[npt.NDArray[Any]] = [common.ids, common.targets, held.outputs, *common.flags.values()]
    return sum(column.nbytes for column in columns)
