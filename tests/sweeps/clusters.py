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
    """A cluster whose head carries out nothing. Its nodes are known by the processes of their raylets: on a busy
    machine the cluster itself takes long to answer.
    """

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, "_system_config": _CONFIG, **_SMALL},
        )
        self.address = self._cluster.address
        self._session = self._cluster.head_node.get_session_dir_path()

    def _raylets(self) -> dict[str, int]:
        """Process ids of the nodes' raylets by the nodes' ids, the head's left out."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if words[0].endswith("/raylet") and f"--session_dir={self._session}" in words and "--head" not in words:
                (node,) = (word.partition("=")[2] for word in words if word.startswith("--node_id="))
                found[node] = int(entry.name)
        return found

    def add_node(self, **resources) -> str:
        before = self.nodes()
        for attempt in range(3):
            try:
                self._cluster.add_node(wait=False, include_dashboard=False, **_SMALL, **resources)
            # Thirty seconds may not be enough; a raylet that runs joins when it can.
            except Exception:
                if attempt == 2 and self.nodes() == before:
                    raise
            if new := [node for node in self.nodes() if node not in before]:
                return new[0]
        raise AssertionError

    def nodes(self) -> list[str]:
        return sorted(self._raylets())

    def processes(self, node: str) -> list[int]:
        """A node's raylet, and all that it has started."""
        pid = self._raylets().get(node)
        return [] if pid is None else [pid, *descendants(pid)]

    def kill(self, node: str, *, everything: bool = False) -> None:
        """Kill a node without grace: its raylet, or at the same moment all that it has started."""
        for one in self.processes(node)[: None if everything else 1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
                # While a dead raylet has not been waited for, its workers take it for alive.
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(one, 0)

    def shutdown(self) -> None:
        self._cluster.shutdown()
        for node in self.nodes():
            self.kill(node, everything=True)


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
