"""Where heads sit in a stack: rows of one seed each, chosen so that as few slots as possible are empty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# A row also costs the gather of its batch, about as much as one of its heads.
_ROW_COST = 1.0


@dataclass(frozen=True)
class Packing:
    """Heads in R rows of K slots.

    Args:
        members: ids of the packed heads, shape (M,), in the order of the slots.
        order: shape (M,), position of each member among the heads that were given.
        slots: shape (M,), increasing; slot s is place s % K of row s // K.
        seeds: shape (R,), the seed of each row.
        width: K.
    """

    members: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]
    seeds: npt.NDArray[np.int64]
    width: int

    @property
    def rows(self) -> int:
        """R."""
        return len(self.seeds)


def pack(members: npt.NDArray[np.int64], seeds: npt.NDArray[np.int64]) -> Packing:
    """Pack heads so that rows hold heads of one seed, and rows and empty slots together cost least.

    Args:
        members: ids, shape (M,), at least one.
        seeds: of the members, shape (M,).

    Returns:
        The packing; members of one seed keep their order.
    """
    names, counts = np.unique(seeds, return_counts=True)

    def cost(width: int) -> float:
        return float(np.ceil(counts / width).sum() * (width + _ROW_COST))

    width = min(range(1, int(counts.max()) + 1), key=lambda k: (cost(k), k))
    order: list[npt.NDArray[np.int64]] = []
    slots: list[npt.NDArray[np.int64]] = []
    row_seeds: list[int] = []
    for name in names:
        own = np.flatnonzero(seeds == name)
        for start in range(0, len(own), width):
            part = own[start : start + width]
            slots.append(len(row_seeds) * width + np.arange(len(part)))
            order.append(part)
            row_seeds.append(int(name))
    positions = np.concatenate(order)
    return Packing(members[positions], positions, np.concatenate(slots), np.array(row_seeds, dtype=np.int64), width)
