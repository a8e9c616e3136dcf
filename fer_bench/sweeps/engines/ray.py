"""Jobs on a Ray cluster, each as one task of Ray Core, whichever node has room for it.

The task on the node starts the job's process and waits for it. A node that dies ends the task: the driver is told, and
starts the job elsewhere. Ray itself retries nothing, for it knows of no lock and no last epoch.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_bench.errors import HardwareError, SpecError
from fer_bench.sweeps.engines.processes import Process
from fer_bench.sweeps.engines.seam import LOG, RESULT, SHARE, TASK, Ended, Job, packed, unpacked

# A node that has died is missed at once by the connections to it; the cluster's own table takes longer.
_LOOK_SECONDS = 1.0
_WAIT_SECONDS = 0.05
# For nodes that have not come yet, or not come back.
_PATIENCE_SECONDS = 600.0


@dataclass
class _Started:
    """A job's task.

    Args:
        job: the job.
        said: what the task says, one after the other: where it is, and what has come of it.
        need: what it takes of the cluster.
        node: where it is.
    """

    job: Job
    said: Any
    need: dict[str, float]
    node: str = ""
    content: bytes | None = field(default=None, repr=False)
    text: str = ""


class RayEngine:
    """Carries out jobs on a cluster.

    Args:
        address: of the cluster's head (``HOST:PORT``); empty: the one that is here or in ``RAY_ADDRESS``, or a new one
            of this machine alone.
        accelerator: ``auto`` takes GPUs where the cluster has any.
        per_gpu: how many jobs may share a GPU.
        cpus: cores, and threads, of a job for each of its devices; None: one, and beside GPUs as PyTorch chooses.

    Raises:
        HardwareError: there is no such cluster.
        SpecError: GPUs are to be shared, and the cluster has none.
    """

    name, queues = "ray", False

    def __init__(self, address: str, accelerator: str = "auto", *, per_gpu: int = 1, cpus: int | None = None) -> None:
        import ray

        self._ray, self._per_gpu, self._cpus, self._given = ray, per_gpu, cpus or 1, cpus
        self.name = f"ray:{address}" if address else "ray"
        self._jobs: dict[str, _Started] = {}
        self._total: dict[str, float] = {}
        self._looked, self._idle_since = float("-inf"), time.monotonic()
        # A driver may be started inside of a program that has connected already.
        self._own = not ray.is_initialized()
        if self._own:
            _connect(ray, address)
        self.gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and self._cluster().get("GPU", 0) > 0)
        if per_gpu > 1 and not self.gpu:
            self.close()
            problem = f"--per-gpu {per_gpu}: the cluster has no GPU to share; these runs would be on processors."
            raise SpecError(problem, "Leave it out; --accelerator gpu waits for nodes that have GPUs.")

    def _cluster(self) -> dict[str, float]:
        """What the nodes have together; they come and go."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._total, self._looked = dict(self._ray.cluster_resources()), time.monotonic()
        return self._total

    def slots(self) -> int:
        """Devices, or shares of them, of all nodes."""
        total = self._cluster()
        return int(total.get("GPU", 0) * self._per_gpu) if self.gpu else int(total.get("CPU", 0) // self._cpus)

    def _need(self, job: Job) -> dict[str, float]:
        if not self.gpu:
            return {"CPU": float(self._cpus * job.devices if not job.alone else self._largest_node())}
        return {
            "GPU": float(job.devices) if job.alone or job.devices > 1 else 1 / self._per_gpu,
            "CPU": float((self._given or 0) * job.devices),
        }

    def _largest_node(self) -> float:
        alive = [float(node["Resources"].get("CPU", 0)) for node in self._ray.nodes() if node["Alive"]]
        return max([float(self._cpus), *alive])

    def adopt(self, job: Job) -> bool:
        """Never: what a driver has started ends with it."""
        return False

    def room(self, job: Job) -> bool:
        """Whether the nodes have so much that no job of this driver has; what has too little waits for nodes."""
        total, need = self._cluster(), self._need(job)
        taken = [started.need for started in self._jobs.values()]
        fits = all(
            sum(one.get(kind, 0.0) for one in taken) + amount <= total.get(kind, 0.0) + 1e-6
            for kind, amount in need.items()
        )
        if fits or taken:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > _PATIENCE_SECONDS:
            asked = " and ".join(f"{amount:g} {kind}" for kind, amount in need.items() if amount)
            problem = (
                f"{job.name} needs {asked}, which the cluster has not had for {_PATIENCE_SECONDS / 60:.0f} minutes."
            )
            raise HardwareError(problem, "Start a node that has it, or use fewer --devices or --cpus.")
        return fits

    def start(self, job: Job) -> None:
        """Hand it to Ray, which finds the node."""
        need = self._need(job)
        environment = dict(job.environment)
        if self.gpu:
            environment[SHARE] = f"{min(1.0, need['GPU']):.4f}"
        if self._given or not self.gpu:
            # The number of threads decides how results are rounded.
            environment.setdefault("OMP_NUM_THREADS", str(self._cpus))
        remote = self._ray.remote(_carry).options(
            num_cpus=need["CPU"],
            num_gpus=need.get("GPU", 0.0),
            max_retries=0,
            num_returns="streaming",
            scheduling_strategy="SPREAD",
            name=job.name,
        )
        content = packed(job.folder, leave=(LOG, RESULT))
        said = remote.remote(job.module, content, str(job.folder), environment, job.cwd)
        self._jobs[job.key] = _Started(job, said, need)

    def running(self) -> dict[str, str]:
        """Those whose task has said where it is."""
        return {key: started.node for key, started in self._jobs.items() if started.node}

    def poll(self) -> Iterator[Ended]:
        """What has ended, or was lost; meanwhile it learns where the others are."""
        if not self._jobs:
            return
        by_said = {started.said: key for key, started in self._jobs.items()}
        ready, _ = self._ray.wait(list(by_said), num_returns=len(by_said), timeout=0, fetch_local=False)
        for said in ready:
            key = by_said[said]
            started = self._jobs[key]
            try:
                message = self._ray.get(next(said))
            except StopIteration:
                del self._jobs[key]
                yield self._ended(started)
            except self._ray.exceptions.OutOfMemoryError:
                del self._jobs[key]
                yield Ended(key, "ended", started.node, "killed, for its node ran out of memory")
            # What Ray raises for a dead node, a dead worker or a lost object is of many kinds.
            except Exception as error:
                del self._jobs[key]
                yield Ended(key, "lost", started.node, f"its node was lost ({type(error).__name__})")
            else:
                started.node = message.get("node", started.node)
                started.content, started.text = message.get("content"), message.get("text", "")

    @staticmethod
    def _ended(started: _Started) -> Ended:
        if started.content is not None:
            log = started.job.folder / LOG
            earlier = log.read_bytes() if log.is_file() else b""
            unpacked(started.content, started.job.folder)
            if earlier:
                log.write_bytes(earlier + (log.read_bytes() if log.is_file() else b""))
        return Ended(started.job.key, "ended", started.node, started.text)

    def stop(self, keys: Iterable[str] | None = None) -> None:
        """Ray kills the workers; what they have started ends with them."""
        for key in list(self._jobs if keys is None else keys):
            if key in self._jobs:
                with contextlib.suppress(Exception):
                    self._ray.cancel(self._jobs.pop(key).said, force=True)

    def close(self) -> None:
        """Leave the cluster."""
        self.stop()
        if self._own:
            self._ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    import logging

    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(
            address=address or None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=None if address or os.environ.get("RAY_ADDRESS") else False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        problem = f"--on ray{f':{address}' if address else ''}: {next(iter(str(error).splitlines()), '')}."
        raise HardwareError(
            problem, "Start a head with `ray start --head`, or give its address: --on ray:HOST:6379."
        ) from None


def _carry(
    module: str, content: bytes, folder: str, environment: Mapping[str, str], cwd: str
) -> Iterator[dict[str, Any]]:
    """On the node: says where it is, carries the job out, and says what has come of it.

    Where the node sees the driver's folder, that is used, so that a log can be read at once; elsewhere a folder of the
    node's own, whose content goes back.
    """
    import ray

    context = ray.get_runtime_context()
    yield {"node": f"{socket.gethostname()}/{context.get_node_id()[:6]}"}
    shared = _is_same(Path(folder), content)
    with contextlib.nullcontext(folder) if shared else tempfile.TemporaryDirectory() as there:
        place = Path(there)
        if not shared:
            unpacked(content, place)
        process = Process(module, place, environment, cwd)
        try:
            while not process.ended():
                time.sleep(_WAIT_SECONDS)
        except BaseException:
            process.stop()
            raise
        yield {"text": process.text, "content": None if shared else packed(place)}


def _is_same(folder: Path, content: bytes) -> bool:
    """Whether a folder here is the one that was packed at the driver."""
    import io
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return (folder / TASK).read_bytes() == archive.read(TASK)
    except (OSError, KeyError):
        return False
