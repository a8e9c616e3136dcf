"""What the heads of a grid see: streams of a dataset side by side, split by split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import SPLITS
from fer_bench.datasets.load import dataset_class
from fer_bench.faces.detection import DETECTORS
from fer_bench.models.trial import try_network
from fer_bench.predictions import Predictions
from fer_bench.probes.backbones import Backbone
from fer_bench.probes.features import Place
from fer_bench.probes.settings import ProbeSettings
from fer_bench.probes.stack import Split
from fer_bench.probes.streams import Scaling, Stream, check_backbone, check_stream, fuse, load_stream, with_head
from fer_bench.results.grids import SUFFIX
from fer_bench.results.store import Store


@dataclass(frozen=True)
class Inputs:
    """What the heads of a grid see.

    Args:
        datamodule: of the dataset.
        streams: put side by side.
        values: by split, shape (n, D), float32.
        scaling: of the columns, where they are standardised.
    """

    datamodule: AffectDataModule
    streams: tuple[Stream, ...]
    values: dict[str, npt.NDArray[np.float32]]
    scaling: Scaling | None = None

    def split(self, name: str, device: torch.device) -> Split:
        """Features and targets of one split on a device."""
        return Split(
            torch.from_numpy(self.values[name]).to(device), torch.from_numpy(self.datamodule.targets(name)).to(device)
        )

    def common(self, name: str) -> Predictions:
        """Ids, targets, flags and groups of one split, without outputs."""
        samples = self.datamodule.read_samples
        at = samples.where(name)
        flags = (
            {"duplicate": samples.columns["duplicate"][at].astype(bool)}
            if "duplicate" in samples.columns and name == "test"
            else {}
        )
        groups = None if samples.groups is None else samples.groups[at]
        return Predictions(
            np.asarray(samples.ids[at]),
            self.datamodule.targets(name),
            np.zeros((len(at), 1), dtype=np.float32),
            flags,
            groups,
        )


def read_streams(
    settings: ProbeSettings,
    datamodule: AffectDataModule,
    place: Place,
    store: Store | None = None,
    data_dir: str | None = None,
    backbones: Mapping[str, Backbone] | None = None,
) -> tuple[Stream, ...]:
    """All streams of the settings, over all samples of a datamodule; the heads within them are not fitted yet."""
    opened = backbones or {}
    return tuple(
        load_stream(name, settings, datamodule, place, store, data_dir, opened.get(name)) for name in settings.streams
    )


def inputs_of(
    settings: ProbeSettings,
    datamodule: AffectDataModule,
    streams: tuple[Stream, ...],
    place: Place,
    ids: npt.NDArray[np.str_] | None = None,
) -> Inputs:
    """Streams side by side, in the splits of a datamodule.

    Args:
        settings: of the grid.
        datamodule: gives splits and targets.
        streams: of :func:`read_streams`.
        place: device.
        ids: of the samples of the streams, sorted, where they are more than the datamodule's; None: they are its own.
    """
    samples = datamodule.read_samples
    if ids is not None:
        at = np.searchsorted(ids, samples.ids)
        streams = tuple(replace(stream, values=stream.values[at]) for stream in streams)
    streams = tuple(with_head(stream, settings, samples, place) for stream in streams)
    values, scaling = fuse(streams, {split: samples.where(split) for split in SPLITS}, settings.standardise)
    return Inputs(datamodule, streams, values, scaling)


def check_names(settings: ProbeSettings, store: Store, data_dir: str | None) -> None:
    """Refuse wrong names and weights before the data are read. A grid that is there already is answered without its
    networks, so none is asked for.
    """
    dataset_class(settings.dataset)
    names = [check_stream(stream)[1] for stream in settings.streams]
    if any(stream.startswith("faces:") for stream in settings.streams):
        DETECTORS[settings.detector]
    if list(store.grid_path(settings.protocol, settings.model, "any").parent.glob(f"*{SUFFIX}")):
        return
    for stream, name in zip(settings.streams, names, strict=True):
        check_backbone(stream, settings.weights_of(name), store, data_dir)


def try_backbones(backbones: Mapping[str, Backbone], datamodule: AffectDataModule) -> None:
    """Run each backbone on one blank image before it is given all of them.

    Raises:
        SpecError: what it cannot do.
    """
    shape = np.asarray(datamodule.read_samples.images[0]).shape
    for stream, backbone in backbones.items():
        kind, name = check_stream(stream)
        if kind != "faces":
            try_network(backbone.module, name, channels=shape[2] if len(shape) == 3 else 1, side=min(shape[:2]))
