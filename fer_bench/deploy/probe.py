"""A probe as a network: frozen backbones, and a linear head on their outputs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from fer_bench.errors import SpecError, WeightsError
from fer_bench.faces.crops import image_shape
from fer_bench.pinning import NAMED_WEIGHTS, RUN
from fer_bench.probes.backbones import Backbone
from fer_bench.probes.features import Place, run_batch
from fer_bench.probes.grid_found import WEIGHTS
from fer_bench.probes.kept_heads import KeptHead, read_head
from fer_bench.probes.settings import ProbeSettings, build_probe
from fer_bench.probes.streams import check_stream, open_backbone
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import Execution

# Of images of which nothing says it.
_USUAL_SIZE = 48


class ProbeNetwork(nn.Module):
    """From images to logits, or to values in the dataset's units. Features are rounded as the head has seen them.

    Args:
        backbones: one per stream.
        names: of the streams.
        head: fitted on the streams side by side.
        precision: of the features, Lightning's name.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    mean: torch.Tensor | None
    scale: torch.Tensor | None

    def __init__(self, backbones: Sequence[Backbone], names: Sequence[str], head: KeptHead, precision: str) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(backbone.module for backbone in backbones)
        self.names, self.precision = tuple(names), precision
        self.within = head.heads
        for name in ("weight", "bias", "mean", "scale"):
            self.register_buffer(name, getattr(head, name))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Outputs (B, C) of uint8 images (B, 1 or 3, H, W)."""
        place = Place(self.weight.device, self.precision)
        columns = []
        for name, backbone in zip(self.names, self.backbones, strict=True):
            values = run_batch(backbone, images, place)
            head = self.within.get(name)
            columns.append(values.astype(np.float32) if head is None else head.of(values, place.device))
        x = torch.from_numpy(np.concatenate(columns, axis=1)).to(place.device)
        if self.mean is not None and self.scale is not None:
            x = (x - self.mean) * self.scale
        return torch.addmm(self.bias[None], x, self.weight.T)


class ProbeTask(nn.Module):
    """A probe that predicts as the tasks of trained networks do.

    Args:
        network: in evaluation mode.
        classes: whether its outputs are logits; else values.
    """

    def __init__(self, network: ProbeNetwork, classes: bool) -> None:
        super().__init__()
        self.network, self.classes = network, classes

    def predict_step(self, batch: dict[str, torch.Tensor], batch_idx: int = 0) -> torch.Tensor:
        """Predictions of a batch, (B, C), float32."""
        outputs: torch.Tensor = self.network(batch["image"])
        return outputs.softmax(dim=1) if self.classes else outputs


@dataclass(frozen=True)
class TrainedProbe:
    """A probe and where it comes from.

    Args:
        record: of the head.
        spec: of its grid.
        protocol: under which it was scored.
        task: in evaluation mode.
        native_size: height of the images that its backbones were given, in pixels.
    """

    record: Record
    spec: ProbeSettings
    protocol: Protocol
    task: ProbeTask
    native_size: int


def load_probe(
    store: Store, record: Record, execution: Execution | None = None, head: KeptHead | None = None
) -> TrainedProbe:
    """Load the backbones and the head of a probe.

    Args:
        store: where runs are looked up that are backbones.
        record: of kind ``probe``.
        execution: dataset root directory.
        head: the record's; None: the one that is kept on this machine.

    Raises:
        WeightsError: the head, or the weights of a backbone, are not on this machine or are others than the record's;
            or a stream is of faces, which have to be found first.
    """
    settings = probe_of(record)
    if faces := [stream for stream in settings.streams if check_stream(stream)[0] == "faces"]:
        problem = f"run {record.run_id}: its stream {faces[0]} is of the faces in an image, which are not found here."
        raise WeightsError(problem, "Choose a probe without that stream.")
    head = head or read_head(record)
    backbones = [
        open_backbone(stream, settings, store, (execution or Execution()).data_dir) for stream in settings.streams
    ]
    for stream, backbone in zip(settings.streams, backbones, strict=True):
        if record.inputs.get(WEIGHTS + stream, backbone.digest[:16]) != backbone.digest[:16]:
            problem = f"run {record.run_id}: the weights of {stream} are others than those that it was made with."
            raise WeightsError(problem, "Use those, or repeat the grid with --force.")
    protocol = settings.judge
    network = ProbeNetwork(backbones, settings.streams, head, str(record.hardware.get("precision") or "32-true"))
    task = ProbeTask(network, protocol.task.kind == "classes").eval()
    return TrainedProbe(record, settings, protocol, task, probe_size(record, settings))


def probe_size(record: Record, settings: ProbeSettings) -> int:
    """Height of the images that a probe was fitted on, in pixels."""
    height, _, _ = image_shape(record.dataset, settings.dataset_options, record.data, _USUAL_SIZE)
    return height


def require_named_backbones(record: Record) -> ProbeSettings:
    """The settings of a probe whose backbones anyone can have by their names.

    Raises:
        WeightsError: one is a run, or a file of weights, of one machine.
    """
    settings = probe_of(record)
    own = [stream for stream in settings.streams if check_stream(stream)[1].startswith(RUN)]
    own += [name for name, weights in settings.weights.items() if weights not in NAMED_WEIGHTS]
    if own:
        problem = f"run {record.run_id} is a probe of {own[0]}, whose weights nobody else can have by that name."
        raise WeightsError(problem, "Push probes of backbones with public weights; push a run by its own id.")
    return settings


def probe_of(record: Record) -> ProbeSettings:
    """The settings of the grid that a probe is of, as far as they decide its inputs.

    Raises:
        WeightsError: the record has none.
    """
    known = {key: value for key, value in record.spec.items() if key in ProbeSettings.model_fields}
    axes: dict[str, Any] = {key: [known[key]] for key in ("lr", "loss", "penalty") if key in known}
    try:
        return build_probe({**known, **axes, "seeds": [record.seed or 0]}, f"the record of {record.run_id}")
    except SpecError as error:
        problem = f"run {record.run_id} is of kind 'probe', but has no settings of one: {error.problem}"
        raise WeightsError(problem, "Restore it from version control, or repeat the grid.") from None
