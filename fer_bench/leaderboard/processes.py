"""Several processes for work on many files of results, each part of which needs no other."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from fer_bench.errors import HardwareError

Result = TypeVar("Result")


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each_result(function: Callable[..., Result], calls: Sequence[tuple[Any, ...]], processes: int) -> Iterator[Result]:
    """What a function gives for each of some arguments, in their order.

    Args:
        function: of a module.
        calls: its arguments; the longest work first, so that none is left to wait for at the end.
        processes: at work at the same time; 1: this one alone.

    Raises:
        HardwareError: a process died.
    """
    if processes < 2 or len(calls) < 2:
        yield from (function(*call) for call in calls)
        return
    # A forked process has all modules at once; elsewhere than on Linux forking is not safe.
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(min(processes, len(calls)), context) as pool:
        futures = [pool.submit(function, *call) for call in calls]
        try:
            for future in futures:
                yield future.result()
        except BrokenProcessPool:
            problem = "a process was ended from outside, most likely for want of memory."
            raise HardwareError(problem, "Give the same command with --processes 1.") from None
        finally:
            pool.shutdown(cancel_futures=True)
