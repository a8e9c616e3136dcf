"""Hardware of this machine, and the fastest correct settings for it."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass

import torch

from fer_bench.counting import counted
from fer_bench.errors import HardwareError, SpecError
from fer_bench.spec import Execution, RunSpec


@dataclass(frozen=True)
class Device:
    """Resolved hardware settings of one run.

    Args:
        accelerator: ``cpu``, ``cuda`` or ``mps``.
        device: where one-device work such as the final test happens.
        precision: Lightning's name of the precision.
        workers: loader processes.
    """

    accelerator: str
    device: torch.device
    precision: str
    workers: int


def resolve(spec: RunSpec) -> Device:
    """Choose accelerator, precision and loader processes.

    bf16 on a CPU is taken only where the processor has instructions for it (AVX512-BF16 or AMX): there it measured 1.5
    to 1.8 times float32, elsewhere it is emulated and slower.

    Raises:
        HardwareError: the requested accelerator or number of devices is not available.
        SpecError: the effective batch cannot be shared evenly by the devices.
    """
    accelerator = _accelerator(spec.execution)
    available = torch.cuda.device_count() if accelerator == "cuda" else 1
    if accelerator == "cuda" and spec.execution.devices > available:
        problem = f"devices = {spec.execution.devices}: this machine has {counted(available, 'GPU')}."
        raise HardwareError(problem, f"Use --devices {available}.")
    world = spec.execution.devices * spec.execution.num_nodes
    if spec.batch_size % world or spec.batch_size < 2 * world:
        problem = f"batch_size = {spec.batch_size} cannot be shared by {world} devices."
        raise SpecError(problem, f"Use a multiple of {world}, at least {2 * world}.")
    precision = spec.precision if spec.precision != "auto" else _fastest_precision(accelerator)
    if precision == "16-mixed" and accelerator == "cpu":
        problem = "precision = '16-mixed' needs a GPU."
        raise HardwareError(problem, "Use --precision auto.")
    workers = spec.execution.workers
    if workers < 0:
        # Training on a CPU leaves no core idle; with a GPU, decoding can be moved to other processes.
        workers = 0 if accelerator == "cpu" else min(8, max((os.cpu_count() or 2) - 1, 1))
    return Device(accelerator, torch.device(accelerator), precision, workers)


def _accelerator(execution: Execution) -> str:
    asked = "cuda" if execution.accelerator == "gpu" and torch.cuda.is_available() else execution.accelerator
    has_mps = torch.backends.mps.is_available()
    if asked in ("cuda", "gpu") and not torch.cuda.is_available():
        problem = f"accelerator = {execution.accelerator!r}: PyTorch finds no CUDA device on this machine."
        raise HardwareError(problem, "Use --accelerator cpu (or auto), or check the driver with `fer-bench doctor`.")
    if asked == "mps" and not has_mps:
        problem = "accelerator = 'mps': PyTorch finds no Apple GPU on this machine."
        raise HardwareError(problem, "Use --accelerator cpu (or auto).")
    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"


def has_fast_bf16() -> bool:
    """Whether this CPU multiplies bf16 in hardware."""
    try:
        capabilities = torch.backends.cpu.get_cpu_capability()
        return (
            bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
            and "AVX512" in capabilities
        )
    except (AttributeError, RuntimeError):
        return False


def _fastest_precision(accelerator: str) -> str:
    if accelerator == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    if accelerator == "cpu" and has_fast_bf16():
        return "bf16-mixed"
    return "32-true"


def keep_freed_memory() -> None:
    """Make glibc keep freed memory instead of returning it to the system after every step.

    Activations of a training step are large: by default each is mapped, zeroed page by page and unmapped again, every
    step. On two CPU cores this measured 1.2 times the images per second. Harmless where it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3
    mallopt(m_mmap_threshold, 1 << 30)
    mallopt(m_trim_threshold, (1 << 31) - 1)
    mallopt(m_top_pad, 256 << 20)
