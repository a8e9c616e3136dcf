"""One run on several nodes, begun by torchrun: what is decided by the first process all others follow."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from fer_bench.errors import SpecError
from fer_bench.results.store import Store
from fer_bench.spec import Execution
from fer_bench.training.distributed import join, said_by_first, take_from_first
from tests.forks import Forked
from tests.training.conftest import ROOT, flags, same_predictions, wait_for

FIRST = """
import os, sys
os.environ.update(RANK=sys.argv[1], LOCAL_RANK="0", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[2])
os.environ["TORCHELASTIC_RUN_ID"] = "x"
from pathlib import Path
from fer_bench.spec import Execution
from fer_bench.training.distributed import join, said_by_first, take_from_first
join(Execution(num_nodes=2), "cpu")
print(said_by_first(f"said by {sys.argv[1]}"), flush=True)
take_from_first(Path(sys.argv[3]), ("last.ckpt", "trained.json"))
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_all_nodes_begin_with_what_the_first_has(home):
    for node, files in enumerate(
        [{"last.ckpt": b"two"}, {"last.ckpt": b"one", "trained.json": b"{}", "best.ckpt": b"b"}]
    ):
        (home / f"{node}").mkdir()
        for name, content in files.items():
            (home / f"{node}" / name).write_bytes(content)
        (home / f"node{node}.py").write_text(FIRST)
    port = str(free_port())
    nodes = [Forked(home / f"node{n}.py", str(n), port, str(home / f"{n}"), folder=ROOT) for n in range(2)]
    said = [node.communicate(60) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert [out.strip() for out, _ in said] == ["said by 0", "said by 0"]
    assert {path.name: path.read_bytes() for path in (home / "1").iterdir()} == {"last.ckpt": b"two", "best.ckpt": b"b"}
    assert [path.name for path in (home / "0").iterdir()] == ["last.ckpt"]


def test_alone_nothing_is_asked_of_others(tmp_path, monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    join(Execution(num_nodes=2), "cpu")
    assert said_by_first(3) == 3
    take_from_first(tmp_path, ("last.ckpt",))
    assert not list(tmp_path.iterdir())


def test_as_many_processes_as_devices(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SpecError, match="4 processes were started, for 1 devices on each of 2 nodes"):
        join(Execution(num_nodes=2), "cpu")


@pytest.fixture
def namespaces():
    """Two networks of one machine each, with a cable between them."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    names = ("fer_bench_a", "fer_bench_b")

    def ip(*arguments, check=True):
        subprocess.run(["ip", *arguments], check=check, capture_output=True)

    try:
        try:
            for name in names:
                ip("netns", "add", name)
            ip("link", "add", "fbwa", "netns", names[0], "type", "veth", "peer", "name", "fbwb", "netns", names[1])
            for name, device, address in zip(names, ("fbwa", "fbwb"), ("10.77.1.1", "10.77.1.2"), strict=True):
                ip("-n", name, "addr", "add", f"{address}/24", "dev", device)
                ip("-n", name, "link", "set", device, "up")
                ip("-n", name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        yield dict(zip(names, ("fbwa", "fbwb"), strict=True))
    finally:
        for name in names:
            ip("netns", "del", name, check=False)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_a_run_on_two_nodes_of_two_networks(home, namespaces, tiny):
    """Neither sees the other's files. Both are killed in the middle, and begun again: the result is that of two
    processes of one machine that nothing has disturbed.
    """
    spec = tiny(epochs=4)

    def begin():
        return [node(number, name, device) for number, (name, device) in enumerate(namespaces.items())]

    def node(number, name, device):
        command = ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
        command += ["--node-rank", str(number), "--master-addr", "10.77.1.1", "--master-port", "29544"]
        command += ["-m", "fer_bench", *flags(spec), "--num-nodes", "2"]
        own = {"FER_BENCH_RUNS": home / name / "runs", "FER_BENCH_LEADERBOARDS": home / name / "boards"}
        own |= {"GLOO_SOCKET_IFNAME": device, "PYTHONPATH": ROOT}
        environment = {**os.environ, **{key: str(value) for key, value in own.items()}}
        with (home / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def kill(processes):
        # Workers of torchrun are in sessions of their own.
        for name in namespaces:
            said = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout
            for pid in said.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for process in processes:
            process.wait(30)

    first, second = (home / name for name in namespaces)
    processes = begin()
    try:
        wait_for(lambda: list(first.glob("runs/*/last.ckpt")), 600)
        kill(processes)
        processes = begin()
        assert [process.wait(600) for process in processes] == [0, 0], (home / "fer_bench_a.log").read_text()
    finally:
        kill(processes)
    (record,) = Store(first / "boards").records()
    assert record.training["resumed"]
    assert not Store(second / "boards").files()
    assert [path.name for path in second.glob("runs/*/*.ckpt")] == ["last.ckpt"]
    alone = subprocess.run(
        [sys.executable, "-m", "fer_bench", *flags(spec), "--devices", "2"], cwd=ROOT, env=os.environ, check=False
    )
    assert alone.returncode == 0
    (straight,) = Store().records()
    same_predictions(Store(first / "boards"), record, Store(), straight)
    assert record.predictions["test"].sha256 == straight.predictions["test"].sha256
    # A record that is there is not made again, and no node waits for another.
    processes = begin()
    assert [process.wait(300) for process in processes] == [0, 0]
