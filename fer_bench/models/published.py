"""Weights of published rows: where they are kept, by digest, and how they come to this machine.

``leaderboards/weights.yaml`` names them by the digest that records have of their network, so that rows which test the
same network in several ways share a file::

    3f0c...: {url: https://example.org/3f0c.safetensors, sha256: 91ab..., bytes: 5331244, runs: [f1ea129eb7-s0]}
"""

from __future__ import annotations

import hashlib
import http.client
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from filelock import FileLock

from fer_bench import paths
from fer_bench.atomic import write_atomically
from fer_bench.errors import SpecError, WeightsError
from fer_bench.packages import require
from fer_bench.results.record import Record
from fer_bench.yaml_lines import read_yaml

FILE = "weights.yaml"
SUFFIX = ".safetensors"
_HEADER = (
    "# Where the weights of published rows are kept, by the digest of the network; written by `fer-bench weights`.\n"
)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SCHEMES = ("https://", "http://", "file://")
# Seconds without an answer.
_PATIENCE = 30.0
_BLOCK = 2**20


@dataclass(frozen=True)
class Kept:
    """A file of weights.

    Args:
        url: its address.
        sha256: of the file.
        bytes: of the file.
        runs: whose network it is, for readers.
    """

    url: str
    sha256: str
    bytes: int
    runs: tuple[str, ...] = ()


def manifest_path() -> Path:
    """The list of kept weights: in scratch mode too, the project's."""
    with paths.scratch(on=False):
        return paths.leaderboards_dir() / FILE


def read_manifest() -> dict[str, Kept]:
    """All kept weights, by digest of the network.

    Raises:
        SpecError: an entry that names no file, with its line.
    """
    path = manifest_path()
    if not path.is_file():
        return {}
    source = read_yaml(path)
    return {str(digest): _entry(entry, source.where((str(digest),))) for digest, entry in source.content.items()}


def _entry(entry: Any, where: str) -> Kept:
    known = entry if isinstance(entry, dict) else {}
    url, sha256, size = known.get("url"), known.get("sha256"), known.get("bytes")
    if (
        not (isinstance(url, str) and url.startswith(_SCHEMES))
        or not (isinstance(sha256, str) and _DIGEST.fullmatch(sha256))
        or not (isinstance(size, int) and size > 0)
    ):
        problem = f"{where}: weights need url (https://...), sha256 (64 hexadecimal digits) and bytes."
        raise SpecError(problem, "`fer-bench weights RUN` writes such entries.")
    return Kept(url, sha256, size, tuple(str(run) for run in known.get("runs") or ()))


def find(record: Record) -> Kept | None:
    """Where the weights of a record's network are kept; None where nobody says."""
    return read_manifest().get(str(record.training.get("weights_sha256") or ""))


def fetched(kept: Kept, run_id: str) -> Path:
    """The file on this machine, downloaded into the cache where it is not there.

    Args:
        kept: where it is.
        run_id: of the run that needs it, for messages.

    Raises:
        WeightsError: the address does not answer, or gives another file.
    """
    path = paths.cache_dir() / "weights" / f"{kept.sha256}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == kept.sha256:
            return path
        print(f"weights     of run {run_id}: {kept.bytes / 1e6:.1f} MB from {kept.url}", file=sys.stderr, flush=True)
        content = _download(kept, run_id)
        if (found := hashlib.sha256(content).hexdigest()) != kept.sha256:
            problem = (
                f"weights of run {run_id}: {kept.url} is another file (sha256 {found[:12]}, not {kept.sha256[:12]})."
            )
            raise WeightsError(
                problem, f"{manifest_path()} says which it should be; repeat the run, or ask who keeps it."
            )
        write_atomically(path, content)
    return path


def _download(kept: Kept, run_id: str) -> bytes:
    try:
        with urllib.request.urlopen(kept.url, timeout=_PATIENCE) as answer:
            # One more than there may be, so that a longer file is seen to be another.
            content: bytes = answer.read(kept.bytes + 1)
            return content
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        why = getattr(error, "reason", None) or error
        problem = f"weights of run {run_id} are not on this machine, and cannot be had from {kept.url} ({why})."
        raise WeightsError(problem, "Try again with a network, or repeat the run with --force.") from None


def write_weights(record: Record, checkpoint: Path, folder: Path) -> Path:
    """Write the network of a run as a file to be published, named after the digest of the network; arguments and errors
    as of :func:`published_bytes`.
    """
    content = published_bytes(record, checkpoint)
    path = folder / f"{record.training['weights_sha256'][:16]}{SUFFIX}"
    write_atomically(path, content)
    return path


def published_bytes(record: Record, checkpoint: Path) -> bytes:
    """The network of a run as the content of a safetensors file: its weights, and nothing of its training.

    Args:
        record: of the run.
        checkpoint: that its training ended with.

    Raises:
        WeightsError: the record does not say which weights it has.
        MissingPackageError: safetensors is missing.
    """
    from fer_bench.models.trained import read_checkpoint

    require(("safetensors",))
    from safetensors.torch import save

    if not record.training.get("weights_sha256"):
        problem = f"run {record.run_id} does not say which weights it ended with: its record is of an older version."
        raise WeightsError(problem, "Repeat it with --force.")
    state = read_checkpoint(checkpoint)["state_dict"]
    tensors = {
        name: value.detach().cpu().clone().contiguous()
        for name, value in state.items()
        if isinstance(value, torch.Tensor) and name.startswith("network.")
    }
    return bytes(save(tensors, metadata={"run": record.run_id, "model": record.model}))


def announce(record: Record, path: Path, url: str) -> Kept:
    """Say in the list of kept weights where a file is, or will be.

    Args:
        record: of the run.
        path: of the file, here.
        url: its address.
    """
    content = path.read_bytes()
    digest, known = str(record.training["weights_sha256"]), read_manifest()
    runs = tuple(dict.fromkeys([*(known[digest].runs if digest in known else ()), record.run_id]))
    known[digest] = kept = Kept(url, hashlib.sha256(content).hexdigest(), len(content), runs)
    write_atomically(manifest_path(), _text(known.items()).encode())
    return kept


def _text(known: Iterable[tuple[str, Kept]]) -> str:
    plain = {digest: {**asdict(kept), "runs": list(kept.runs)} for digest, kept in sorted(known)}
    return _HEADER + yaml.safe_dump(plain, sort_keys=True, width=110)
