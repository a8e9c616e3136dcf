"""Splits as pure functions of ids and a salt: the same on every machine, in every order, and for every subset of the data."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt


def carve(
    ids: npt.NDArray[np.str_],
    strata: npt.NDArray[np.int64],
    share: float,
    groups: npt.NDArray[np.str_] | None = None,
    salt: str = "validation",
    seed: int = 0,
) -> npt.NDArray[np.bool_]:
    """Choose a share of samples, stratified by class, or whole groups where samples belong together.

    Args:
        ids: shape (N,), text.
        strata: shape (N,), class ids; each class gives its share (at least one sample where it has two).
        share: between 0 and 1.
        groups: shape (N,): people or clips that must not be torn apart; strata then count only in the order of choice.
        salt: separates different choices from the same ids.
        seed: another seed, another choice.

    Returns:
        Shape (N,): True where the sample was chosen.
    """
    chosen = np.zeros(len(ids), dtype=bool)
    if groups is not None:
        names, inverse = np.unique(groups, return_inverse=True)
        order = np.argsort([_rank(str(name), salt, seed) for name in names])
        taken, sizes = 0, np.bincount(inverse)
        for group in order:
            if taken >= share * len(ids):
                break
            chosen[inverse == group] = True
            taken += int(sizes[group])
        return chosen
    ranks = np.array([_rank(str(i), salt, seed) for i in ids])
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        n = max(round(share * len(members)), 1 if len(members) > 1 else 0)
        chosen[members[np.argsort(ranks[members], kind="stable")[:n]]] = True
    return chosen


def _rank(name: str, salt: str, seed: int) -> float:
    digest = hashlib.sha256(f"{salt}|{seed}|{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
