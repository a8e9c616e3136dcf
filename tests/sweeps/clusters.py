"""A Ray cluster of several nodes on this machine, whose nodes can be killed as machines die."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

# A dead node refuses connections and is missed within five seconds; a slow one is given time.
_CONFIG = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}


class Nodes:
    """A cluster whose head carries out nothing."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, "_system_config": _CONFIG, **_SMALL},
        )
        self.address = self._cluster.address

    def add_node(self, **resources):
        for attempt in range(5):
            try:
                return self._cluster.add_node(wait=True, include_dashboard=False, **_SMALL, **resources)
            # On a machine that is busy with other things, thirty seconds are not enough for a node.
            except Exception as error:
                if attempt == 4 or "timed out during startup" not in str(error):
                    raise
        raise AssertionError

    def nodes(self):
        return list(self._cluster.worker_nodes)

    def kill(self, node, *, everything: bool = False) -> None:
        """Kill a node without grace: its raylet, or at the same moment all that it has started."""
        pids = [info.process.pid for group in node.all_processes.values() for info in group]
        below = [found for pid in pids for found in descendants(pid)] if everything else []
        for pid in [*pids, *below]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        self._cluster.shutdown()


_SMALL = {"object_store_memory": 80 * 2**20}


@contextlib.contextmanager
def begun_cluster(nodes: int, cpus: int = 2) -> Iterator[Nodes]:
    import ray

    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "RAY_ADDRESS")}
    # What a node starts must find this code.
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    os.environ.pop("RAY_ADDRESS", None)
    cluster = Nodes()
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=cpus)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def descendants(pid: int) -> list[int]:
    """All processes that a process has started, and those have."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for child in map(int, children) for found in (child, *descendants(child))]
