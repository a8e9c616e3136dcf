"""Measure what one image costs a network: multiply-adds, latency, throughput, memory."""

from __future__ import annotations

import contextlib
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fer_bench.results import provenance
from fer_bench.results.costs import Timing

BATCH = 32
# Enough for a median, and an end where a network takes seconds for a face.
_RUNS, _SECONDS = 30, 5.0
_WARM_UP = 3
_STATUS = Path("/proc/self/status")


def multiply_adds(network: nn.Module, images: torch.Tensor) -> int:
    """Multiply-adds of one call: half of the floating-point operations of matrix products, convolutions and attention.

    Args:
        network: in evaluation mode.
        images: uint8 (B, C, H, W).
    """
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(images)
    return int(counter.get_total_flops()) // 2


def measure(network: nn.Module, shape: tuple[int, int, int], device: torch.device, *, batch: int = BATCH) -> Timing:
    """Time a network in single precision.

    Args:
        network: in evaluation mode; is moved to the device.
        shape: of an image, (C, H, W).
        device: that computes.
        batch: images at once, for the throughput.
    """
    before = _memory(device, reset=True)
    network = network.to(device)
    one, many = (torch.zeros((n, *shape), dtype=torch.uint8, device=device) for n in (1, batch))
    with torch.inference_mode():
        each = _seconds(lambda: network(one), device)
        all_of_them = _seconds(lambda: network(many), device)
    after = _memory(device)
    on_gpu = device.type == "cuda"
    weights = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    # On a processor the weights were there before.
    risen = None if before is None or after is None else max(after - before, 0) + (0 if on_gpu else weights)
    return Timing(
        device="cuda" if on_gpu else "cpu",
        name=torch.cuda.get_device_name(device) if on_gpu else str(provenance.machine()["processor"]),
        threads=None if on_gpu else torch.get_num_threads(),
        latency=round(1000 * statistics.median(each), 4),
        throughput=round(batch / statistics.median(all_of_them), 2),
        batch=batch,
        memory=None if risen is None else round(risen / 1e6, 1),
        software=f"torch {torch.__version__}",
        created=provenance.now(),
    )


def _seconds(call: Callable[[], object], device: torch.device) -> list[float]:
    def once() -> float:
        began = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    began = time.perf_counter()
    for _ in range(_WARM_UP):
        once()
        if time.perf_counter() - began > _SECONDS:
            break
    found: list[float] = []
    began = time.perf_counter()
    while not found or (len(found) < _RUNS and time.perf_counter() - began < _SECONDS):
        found.append(once())
    return found


def _memory(device: torch.device, *, reset: bool = False) -> float | None:
    """Bytes in use at the beginning, with ``reset``, or at the peak since; None where the system does not say."""
    if device.type == "cuda":
        if reset:
            torch.cuda.reset_peak_memory_stats(device)
            return float(torch.cuda.memory_allocated(device))
        return float(torch.cuda.max_memory_allocated(device))
    if reset:
        try:
            # Linux forgets the peak of a process that says so.
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return None
    with contextlib.suppress(OSError):
        found = re.search(rf"{'VmRSS' if reset else 'VmHWM'}:\s+(\d+) kB", _STATUS.read_text())
        return None if found is None else 1024.0 * int(found[1])
    return None
