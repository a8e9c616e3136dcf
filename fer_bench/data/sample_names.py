"""Which sample an outside file means: by the sample's id, or by the name of the picture that was written out for annotators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt


def find_samples(names: Sequence[str], ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Find samples by what another file calls them.

    Args:
        names: N ids, or names of pictures ``<id>.png`` or ``<class>/<id>.png`` as ``fer-bench annotate images`` writes them.
        ids: M ids of a dataset, unique.

    Returns:
        Shape (N,), positions in ``ids``, -1 where there is no such sample. Names of pictures are only tried where no name is an id.
    """
    place = {identifier: i for i, identifier in enumerate(ids)}
    found = [place.get(name, -1) for name in names]
    if all(i < 0 for i in found):
        place = {str(PurePosixPath(identifier).with_suffix("")): i for i, identifier in enumerate(ids)}
        found = [place.get(_bare(name), -1) for name in names]
    return np.array(found, dtype=np.int64)


def _bare(picture: str) -> str:
    path = PurePosixPath(picture).with_suffix("")
    return str(PurePosixPath(*path.parts[1:])) if len(path.parts) > 1 else str(path)
