"""From records to rows, ranks and pages; needs no PyTorch.

The package can be called, as :func:`fer_bench.leaderboard`: a submodule that is imported takes the place of a function
of the same name.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class _Callable(types.ModuleType):
    """A module that answers as the function that shares its name."""

    def __call__(self, protocol: Any, *, store: Any = None) -> Any:
        """See :func:`fer_bench.api.leaderboard`."""
        from fer_bench.leaderboard.table import table
        from fer_bench.results.store import Store

        return table(Store.at(store), protocol)


sys.modules[__name__].__class__ = _Callable
