"""Which sample an outside file means: by the sample's id, or by the name of the picture that was written out for
annotators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt


def picture_names(ids: Sequence[str]) -> list[str]:
    """What pictures of samples are called, ``.png`` aside: the id without its ending, or with it where another id
    differs in the ending only.

    Args:
        ids: M ids of a dataset, unique.

    Returns:
        M names, unique.
    """
    bare = [str(PurePosixPath(identifier).with_suffix("")) for identifier in ids]
    often = Counter(bare) + Counter(ids)
    # An id without an ending is its own bare name, and counted twice.
    return [
        name if often[name] - (name == identifier) == 1 else identifier
        for name, identifier in zip(bare, ids, strict=True)
    ]


def find_samples(names: Sequence[str], ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Find samples by what another file calls them.

    Args:
        names: N ids, or names of pictures ``<name>.png`` or ``<class>/<name>.png`` as ``fer-bench annotate images``
            writes them.
        ids: M ids of a dataset, unique.

    Returns:
        Shape (N,), positions in ``ids``, -1 where there is no such sample. Names of pictures are only tried where no
        name is an id.
    """
    place = {identifier: i for i, identifier in enumerate(ids)}
    found = [place.get(name, -1) for name in names]
    if all(i < 0 for i in found):
        place = {name: i for i, name in enumerate(picture_names(ids))}
        found = [place.get(_bare(name), -1) for name in names]
    return np.array(found, dtype=np.int64)


def _bare(picture: str) -> str:
    path = PurePosixPath(picture).with_suffix("")
    return str(PurePosixPath(*path.parts[1:])) if len(path.parts) > 1 else str(path)
