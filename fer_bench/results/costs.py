"""What networks cost: one file per network and size of its input, beside the records, which never change for it.

``<root>/costs/<model>/<key>.json``. The key is a digest of what decides the work that one image is: the network, its
options, the side of its input, channels and outputs. Rows that differ in how they were trained share a file; a row that
averages views costs as many times as much.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fer_bench.atomic import write_atomically
from fer_bench.errors import DamagedFileWarning, HardwareError, RecordError
from fer_bench.results.beside import hint_of, read_beside
from fer_bench.results.places import folder_name
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store

FOLDER = "costs"
_MOST_BYTES = 2**20
# Options of networks that change training, and nothing of the work that an image is.
_OF_TRAINING = ("dropout", "zero_init_residual")


class Timing(BaseModel):
    """How fast a network was on one device.

    Args:
        device: ``cpu`` or ``cuda``.
        name: of the processor or the GPU.
        threads: of the processor that were used; None on a GPU.
        precision: of numbers, Lightning's name.
        latency: milliseconds for one face, median.
        throughput: faces a second, in batches.
        batch: faces in a batch.
        memory: MB at the peak, weights and one batch; None where the system does not say.
        software: version of PyTorch.
        created: UTC.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    device: Literal["cpu", "cuda"]
    name: str
    threads: int | None = None
    precision: str = "32-true"
    latency: float = Field(gt=0)
    throughput: float = Field(gt=0)
    batch: int = Field(ge=1)
    memory: float | None = Field(None, ge=0)
    software: str = ""
    created: str = ""


class Cost(BaseModel):
    """What one image costs a network.

    Args:
        network: what decides it, as of :func:`network_of`.
        parameters: all of them.
        macs: multiply-adds of matrix products, convolutions and attention; nothing else is counted.
        timings: on the devices on which it was measured, one of each.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    network: dict[str, Any]
    parameters: int = Field(ge=0)
    macs: int = Field(ge=0)
    timings: list[Timing] = []

    @property
    def key(self) -> str:
        """Digest of the network."""
        return key_of(self.network)

    def to_json(self) -> str:
        """The file's content."""
        return self.model_dump_json(indent=1) + "\n"

    @classmethod
    def load(cls, path: Path) -> Cost:
        """Read a file.

        Raises:
            RecordError: unreadable, damaged, or of another network than its name says.
        """
        found = read_beside(cls, path, _MOST_BYTES, "the cost", "cost")
        if found.key != path.stem:
            problem = f"{path}: the file is of the network {found.key}."
            raise RecordError(problem, hint_of("cost"))
        return found

    def with_timing(self, timing: Timing) -> Cost:
        """With a measurement in place of an earlier one on the same device."""
        same = (timing.device, timing.name, timing.threads, timing.precision)
        kept = [one for one in self.timings if (one.device, one.name, one.threads, one.precision) != same]
        return self.model_copy(update={"timings": [*kept, timing]})


def key_of(network: Mapping[str, Any]) -> str:
    """Ten hexadecimal digits that identify a network and its input."""
    return hashlib.sha256(json.dumps(dict(network), sort_keys=True).encode()).hexdigest()[:10]


def network_of(record: Record) -> dict[str, Any] | None:
    """What decides the work that one image is to the network of a run; None where it has none of its own, or one that
    takes clips.
    """
    spec, shape = record.spec, record.data.get("image_shape") or []
    if record.kind != "trained" or spec.get("temporal", "none") != "none":
        return None
    native = record.data.get("image_size") or 48
    return describe(
        record.model,
        spec.get("model_options") or {},
        side=int(spec.get("image_size") or native),
        channels=int(shape[2]) if len(shape) > 2 else 1,
        outputs=protocol_of(record).task.n_outputs,
    )


def describe(model: str, options: Mapping[str, Any], *, side: int, channels: int, outputs: int) -> dict[str, Any]:
    """A network and its input.

    Args:
        model: its name.
        options: its options; those that matter in training alone are left out.
        side: of its input, in pixels.
        channels: of the images.
        outputs: classes or values.
    """
    kept = {key: value for key, value in options.items() if not any(part in key for part in _OF_TRAINING)}
    return {"model": model, "options": kept, "side": side, "channels": channels, "outputs": outputs}


def path_of(store: Store, network: Mapping[str, Any]) -> Path:
    """Where the cost of a network is, or would be."""
    return store.root / FOLDER / folder_name(str(network["model"])) / f"{key_of(network)}.json"


def find(store: Store, network: Mapping[str, Any]) -> Cost | None:
    """The cost of a network; None where it was not measured. A damaged file is left out with a notice."""
    path = path_of(store, network)
    if not path.is_file():
        return None
    try:
        return Cost.load(path)
    except RecordError as error:
        warnings.warn(f"left out: {error}", DamagedFileWarning, stacklevel=2)
        return None


def files(store: Store) -> Iterator[Path]:
    """All files, sorted."""
    yield from sorted((store.root / FOLDER).glob("*/*.json"))


def put(store: Store, cost: Cost) -> Path:
    """Write the cost of a network.

    Raises:
        HardwareError: the disk is full or read-only.
    """
    path = path_of(store, cost.network)
    try:
        write_atomically(path, cost.to_json().encode())
    except OSError as error:
        problem = f"the cost cannot be written to {path.parent}: {error.strerror or error}."
        raise HardwareError(problem, "Free some space or fix the permissions, and run the command again.") from None
    return path
