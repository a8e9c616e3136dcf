"""Jobs in processes of this machine, each on devices of its own."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence

from fer_bench.errors import HardwareError
from fer_bench.sweeps.engines.processes import Process
from fer_bench.sweeps.engines.seam import SHARE, Ended, Job

_GRACE_SECONDS = 5.0


class LocalEngine:
    """Carries out so many jobs at a time.

    Args:
        places: the devices: names of GPUs, as ``CUDA_VISIBLE_DEVICES`` has them, or any names of CPU slots.
        gpu: whether they are GPUs.
        per_gpu: how many jobs may share one.
        threads: of a job, where the environment does not say it; None: as PyTorch chooses, and on CPU slots one.
    """

    name, queues = "local", False

    def __init__(
        self, places: Sequence[str], *, gpu: bool = False, per_gpu: int = 1, threads: int | None = None
    ) -> None:
        self.gpu, self._per_gpu, self._threads = gpu, per_gpu, threads if gpu else threads or 1
        # What of each device is free; a whole one is 1.
        self._free = dict.fromkeys(places, 1.0)
        self._jobs: dict[str, tuple[Process, dict[str, float]]] = {}

    def slots(self) -> int:
        """Devices, or shares of them."""
        return len(self._free) * self._per_gpu

    def adopt(self, job: Job) -> bool:
        """Never: what a driver has started ends with it."""
        return False

    def room(self, job: Job) -> bool:
        """Whether so many devices are free."""
        if job.devices > len(self._free):
            problem = f"{job.name} needs {job.devices} devices of its own; there are {len(self._free)}."
            raise HardwareError(problem, f"Use --on local:{job.devices}, or fewer --devices.")
        n, share = self._wanted(job)
        return sum(free >= share - 1e-6 for free in self._free.values()) >= n

    def _wanted(self, job: Job) -> tuple[int, float]:
        """Number of devices, and the share of each."""
        n = len(self._free) if job.alone and not self.gpu else job.devices
        return n, 1.0 if job.alone or n > 1 else 1 / self._per_gpu

    def start(self, job: Job) -> None:
        """Begin a job on devices that are free for it."""
        n, share = self._wanted(job)
        # The fullest that still has room: a whole device stays free for what needs one.
        fitting = sorted((free, name) for name, free in self._free.items() if free >= share - 1e-6)
        taken = dict.fromkeys([name for _, name in fitting[:n]], share)
        process = Process(job.module, job.folder, self._environment(job, list(taken), share), job.cwd)
        for name in taken:
            self._free[name] -= share
        self._jobs[job.key] = (process, taken)

    def _environment(self, job: Job, taken: Sequence[str], share: float) -> dict[str, str]:
        # The number of threads decides how results are rounded, so one that is given is kept.
        given = self._threads is None or "OMP_NUM_THREADS" in os.environ
        own = {} if given else {"OMP_NUM_THREADS": str(self._threads)}
        if self.gpu:
            own |= {"CUDA_VISIBLE_DEVICES": ",".join(taken), SHARE: f"{share:.4f}"}
        return {**own, **job.environment}

    def running(self) -> dict[str, str]:
        """All that has begun."""
        return {key: socket.gethostname() for key in self._jobs}

    def poll(self) -> Iterator[Ended]:
        """What has ended."""
        for key, (process, _) in list(self._jobs.items()):
            if process.ended():
                self._forget(key)
                yield Ended(key, "ended", socket.gethostname(), process.text)

    def _forget(self, key: str) -> None:
        for name, share in self._jobs.pop(key)[1].items():
            self._free[name] += share

    def stop(self, keys: Iterable[str] | None = None) -> None:
        """All are asked before any is waited for."""
        chosen = [key for key in (self._jobs if keys is None else keys) if key in self._jobs]
        for key in chosen:
            self._jobs[key][0].ask_to_stop()
        until = time.monotonic() + _GRACE_SECONDS
        for key in chosen:
            self._jobs[key][0].stop(until)
            self._forget(key)

    def close(self) -> None:
        """End what is left."""
        self.stop()
