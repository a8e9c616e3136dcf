"""The fitted heads of a grid, kept among the trainings, so that other images can be predicted with them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fer_bench import paths
from fer_bench.atomic import write_atomically
from fer_bench.errors import BadDataError, WeightsError
from fer_bench.models.weights import read_file, tensors_digest
from fer_bench.packages import require
from fer_bench.probes.grid_inputs import Inputs
from fer_bench.probes.heads import TrainedHeads
from fer_bench.probes.stream_heads import StreamHead
from fer_bench.results.grids import record_file
from fer_bench.results.record import Record
from fer_bench.results.remote import remote_run

FILE = "best.ckpt"
_DIGEST = "weights_sha256"
_STREAMS = "streams"


@dataclass(frozen=True)
class KeptHead:
    """One head, and what comes before it.

    Args:
        weight: shape (C, D), float32.
        bias: shape (C,).
        mean: shape (D,), what the streams' columns are moved by; None where they are as they are.
        scale: likewise, what they are multiplied with.
        heads: of the streams that have one, by their names.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor | None
    scale: Tensor | None
    heads: dict[str, StreamHead]

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name."""
        named = {"weight": self.weight, "bias": self.bias}
        if self.mean is not None and self.scale is not None:
            named |= {"mean": self.mean, "scale": self.scale}
        for name, head in self.heads.items():
            named |= {f"{name}.weight": head.weight, f"{name}.bias": head.bias}
        return named

    def digest(self) -> str:
        """Sha256 (hexadecimal) over all of it."""
        return tensors_digest(self.tensors().items())


def keep(grid: str, records: Sequence[Record], inputs: Inputs, trained: TrainedHeads) -> list[Record]:
    """Write the heads of a grid, and name their digests in their records."""
    scaling = inputs.scaling
    mean, scale = (None, None) if scaling is None else (torch.from_numpy(scaling.mean), torch.from_numpy(scaling.scale))
    within = {stream.name: stream.head for stream in inputs.streams if stream.head is not None}
    weight, bias = trained.weight.float().cpu(), trained.bias.float().cpu()
    done = []
    for h, record in enumerate(records):
        found = KeptHead(weight[h], bias[h], mean, scale, within).digest()
        done.append(record.model_copy(update={"training": {**record.training, _DIGEST: found}}))
    content = {
        "run_ids": [record.run_id for record in records],
        "weight": weight,
        "bias": bias,
        "mean": mean,
        "scale": scale,
        "heads": {
            name: {"weight": head.weight, "bias": head.bias, "classes": head.classes} for name, head in within.items()
        },
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    folder = paths.runs_dir() / _folder(grid)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / FILE, buffer.getvalue())
    if (remote := remote_run(folder)) is not None:
        remote.claim()
    return done


def read_head(record: Record) -> KeptHead:
    """The head of a record.

    Raises:
        WeightsError: it is not on this machine, or is another than the record's; or the record is over several folds,
            each of which has its own.
    """
    if "fold_by" in record.data:
        problem = f"run {record.run_id} is a probe over all folds: it has one head for each of them."
        raise WeightsError(problem, "Probe a single fold, with --set dataset_options.fold=0, and predict with that.")
    name = _folder(record_file(record).partition(".")[0])
    path = paths.runs_dir() / name / FILE
    if (remote := remote_run(path.parent)) is not None:
        remote.bring_file(FILE)
    if paths.in_scratch() and not path.is_file():
        with paths.scratch(on=False):
            path = paths.runs_dir() / name / FILE
    hint = "Heads are not part of the repository: copy it there, set FER_BENCH_RUNS, or repeat the grid with --force."
    if not path.is_file():
        problem = f"the head of run {record.run_id} is not at {path}."
        raise WeightsError(problem, hint)
    content = read_file(str(path))
    try:
        h = list(content["run_ids"]).index(record.run_id)
        heads = {
            str(name): StreamHead(one["weight"], one["bias"], bool(one["classes"]))
            for name, one in content["heads"].items()
        }
        head = KeptHead(content["weight"][h], content["bias"][h], content["mean"], content["scale"], heads)
        same = head.digest() == record.training.get(_DIGEST)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError):
        same = False
    if not same:
        problem = f"{path} does not hold the head that run {record.run_id} was recorded with."
        raise WeightsError(problem, hint)
    return head


def head_bytes(head: KeptHead) -> bytes:
    """A head as the content of a safetensors file, which :func:`head_from_file` reads."""
    require(("safetensors",))
    from safetensors.torch import save

    kinds = json.dumps({name: one.classes for name, one in head.heads.items()})
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in head.tensors().items()}
    return bytes(save(tensors, metadata={_STREAMS: kinds}))


def head_from_file(path: Path, record: Record) -> KeptHead:
    """The head of a record from a file that :func:`head_bytes` has made.

    Raises:
        BadDataError: damaged, or the head of another record.
    """
    require(("safetensors",))
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            named = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
            kinds = json.loads((file.metadata() or {})[_STREAMS])
        heads = {
            str(name): StreamHead(named[f"{name}.weight"], named[f"{name}.bias"], bool(classes))
            for name, classes in kinds.items()
        }
        head = KeptHead(named["weight"], named["bias"], named.get("mean"), named.get("scale"), heads)
        same = head.digest() == record.training.get(_DIGEST)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError):
        same = False
    if not same:
        problem = f"{path} does not hold the head of run {record.run_id}."
        raise BadDataError(problem, "Ask who has pushed it to push it again.")
    return head


def _folder(grid: str) -> str:
    return f"heads-{grid}"
