"""run_grid(): all heads of a grid trained, chosen on validation, tested once, and written as records."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fer_bench import plugins
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.provenance import data_facts
from fer_bench.datasets.load import build_datamodule, dataset_class
from fer_bench.errors import RecordError, SpecError, WeightsError
from fer_bench.faces.detection import DETECTORS
from fer_bench.models.catalog import MODELS
from fer_bench.models.trial import try_network
from fer_bench.plugins import CODE
from fer_bench.predictions import Predictions
from fer_bench.probes.backbones import Backbone
from fer_bench.probes.face_crops import detector_digests
from fer_bench.probes.features import Place
from fer_bench.probes.heads import Head, Split, TrainedHeads, train_heads
from fer_bench.probes.settings import ProbeSettings, row_id
from fer_bench.probes.streams import Stream, check_backbone, check_stream, full_name, fuse, load_stream, open_backbone
from fer_bench.protocols import SELECTED_ON_TEST, Protocol
from fer_bench.results import provenance
from fer_bench.results.copies import checksums_of, note_present
from fer_bench.results.grids import SUFFIX, StackedPredictions
from fer_bench.results.inputs import data_inputs
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.record import scored, scored_on_train, without_scores
from fer_bench.spec import RunSpec

ON_VALIDATION, ON_TEST = "chosen on validation", "chosen on test"
_TESTED = ("validation", "test")
_NETWORK, _WEIGHTS = "network of ", "weights of "


@dataclass(frozen=True)
class Inputs:
    """What the heads of a grid see.

    Args:
        datamodule: of the dataset.
        streams: put side by side.
        values: by split, shape (n, D), float32.
    """

    datamodule: AffectDataModule
    streams: tuple[Stream, ...]
    values: dict[str, npt.NDArray[np.float32]]

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


def run_grid(
    settings: ProbeSettings,
    store: Store | None = None,
    *,
    place: Place | None = None,
    data_dir: str | None = None,
    force: bool = False,
) -> list[Record]:
    """Train every head of a grid, and write one record per head.

    Of each grid two rows are ranked: the learning rate and loss whose mean over the seeds is best on validation, and
    the one that is best on test, which has the caveat ``selected on test`` and is what the paper reports. Where both
    are the same, it is one row. The rest is kept and verified, not ranked.

    Args:
        settings: everything that decides the result.
        store: where records go; None: the project's leaderboards.
        place: device and precision.
        data_dir: data root.
        force: repeat a grid that is there.

    Returns:
        The records; those that are there if the grid was already run.

    Raises:
        FerBenchError: whatever the user can act on.
    """
    protocol, labels = settings.judge, settings.judge.task.labels
    if labels is None:
        problem = f"task {settings.task!r} has no classes."
        raise SpecError(problem, "Probes are for class tasks.")
    if labels.distances is None and "unbalanced_cross_entropy" in settings.loss:
        problem = f"loss 'unbalanced_cross_entropy': the classes of {labels.name} have no distances."
        raise SpecError(problem, "Use cross_entropy.")
    heads = [Head(lr, loss, seed) for lr in settings.lr for loss in settings.loss for seed in settings.seeds]
    for stream in settings.streams:
        check_stream(stream)
    store, place = store or Store(), place or Place()
    store.require_space()
    settings = settings.model_copy(update={"streams": tuple(full_name(stream, store) for stream in settings.streams)})
    _check(settings, protocol, store, data_dir)
    datamodule = build_datamodule(data_spec(settings, data_dir), workers=place.workers)
    datamodule.setup()
    facts = data_facts(datamodule, protocol)
    seen = seen_inputs(settings, facts, lambda: datamodule, data_dir)
    networks = _networks(settings, store)
    try:
        backbones = {stream: open_backbone(stream, settings, store, data_dir) for stream in settings.streams}
    except WeightsError:
        if not force and (found := find_grid(settings, store, seen)):
            return found
        raise
    fingerprint = seen | networks | {_WEIGHTS + stream: backbone.digest[:16] for stream, backbone in backbones.items()}
    # The plain name is that of the first weights; others under the same name have theirs in it.
    for grid in (settings.grid_id(seen), settings.grid_id(fingerprint)):
        known = grid_on(store, protocol.name, settings.model, grid, fingerprint)
        if known and not force:
            note_present(store, protocol, checksums_of(known[0]))
            return known
        if known is not None:
            break
    _try(backbones, datamodule)
    began_with = {
        stream: initial for stream, backbone in backbones.items() if (initial := backbone.initial) is not None
    }
    for stream, initial in began_with.items():
        print(f"  weights of {stream}: {initial.describe()}", flush=True)
    began = time.perf_counter()
    inputs = read_inputs(settings, datamodule, place, store, data_dir, backbones)
    read = time.perf_counter()
    trained = train_heads(
        heads, inputs.split("train", place.device), inputs.split("validation", place.device), labels,
        batch_size=settings.batch_size, max_epochs=settings.max_epochs, patience=settings.patience,
    )  # fmt: skip
    seconds = {"features": round(read - began, 3), "heads": round(time.perf_counter() - read, 3)}
    stacked = {name: _stack(inputs, trained, name, place.device) for name in _TESTED}
    draft = _draft(settings, protocol, facts, inputs, place, grid, seconds).model_copy(update={"inputs": fingerprint})
    if began_with:
        draft.training["initial_weights"] = {stream: initial.facts() for stream, initial in began_with.items()}
    seen_in_training = _stack(inputs, trained, "train", place.device)
    records = [_record(draft, protocol, trained, stacked, seen_in_training, h) for h in range(len(heads))]
    return store.put_grid(grid, choose(records, protocol, settings.recipe or _about(settings)), stacked)


def seen_inputs(
    settings: ProbeSettings,
    facts: Mapping[str, Any],
    datamodule: Callable[[], AffectDataModule],
    data_dir: str | None = None,
) -> dict[str, str]:
    """The part of a grid's fingerprint that is known without its networks.

    Args:
        settings: of the grid.
        facts: of its data, from :func:`fer_bench.data.provenance.data_facts`.
        datamodule: gives the data, where faces have to be found in them.
        data_dir: data root.
    """
    faces = [stream for stream in settings.streams if stream.startswith("faces:")]
    detector = detector_digests(faces, datamodule(), settings.detector, data_dir) if faces else {}
    return {**data_inputs(facts), **_code_of(settings), **detector}


def find_grid(settings: ProbeSettings, store: Store, seen: Mapping[str, str] | None) -> list[Record]:
    """The records of a grid, found without its networks: where their weights are not, nothing says that they are others
    than those of the records.

    Args:
        settings: of the grid, runs named by their whole ids.
        store: of records.
        seen: from :func:`seen_inputs`; None where the data are not on this machine: the settings alone decide.

    Returns:
        Empty where there is none.
    """
    networks = _networks(settings, store)
    for path in sorted(store.grid_path(settings.protocol, settings.model, "any").parent.glob(f"*{SUFFIX}")):
        name = path.name.removesuffix(SUFFIX)
        records = store.find_intact_grid(settings.protocol, settings.model, name) or []
        if not records:
            continue
        stated = records[0].inputs or dict(records[0].data.get("checksums") or {})
        own = {key: value for key, value in stated.items() if not key.startswith((_NETWORK, _WEIGHTS))}
        # A grid's name is of what was seen or, where that was taken, of the whole fingerprint.
        of_settings = name in (settings.grid_id(own), settings.grid_id(stated))
        on_data = seen is None or name == settings.grid_id(seen) or own == dict(seen)
        of_networks = all(records[0].inputs.get(key, value) == value for key, value in networks.items())
        if on_data and of_networks and (of_settings or (seen is not None and name == settings.grid_id(seen))):
            return records
    return []


def _code_of(settings: ProbeSettings) -> dict[str, str]:
    """Digests of the code of backbones from outside the package."""
    named = {stream: check_stream(stream)[1] for stream in settings.streams}
    found = {
        stream: plugins.find("model", name)
        for stream, name in named.items()
        if name not in MODELS and not name.startswith("run:")
    }
    return {f"{CODE}{stream}": plugin.digest[:16] for stream, plugin in found.items() if plugin is not None}


def _check(settings: ProbeSettings, protocol: Protocol, store: Store, data_dir: str | None) -> None:
    """Refuse wrong names and weights before the data are read. A grid that is there already is answered without its
    networks, so none is asked for.
    """
    dataset_class(settings.dataset)
    names = [check_stream(stream)[1] for stream in settings.streams]
    if any(stream.startswith("faces:") for stream in settings.streams):
        DETECTORS[settings.detector]
    if list(store.grid_path(protocol.name, settings.model, "any").parent.glob(f"*{SUFFIX}")):
        return
    for stream, name in zip(settings.streams, names, strict=True):
        check_backbone(stream, settings.weights_of(name), store, data_dir)


def _try(backbones: Mapping[str, Backbone], datamodule: AffectDataModule) -> None:
    """Run each backbone on one blank image before it is given all of them.

    Raises:
        SpecError: what it cannot do.
    """
    shape = np.asarray(datamodule.read_samples.images[0]).shape
    for stream, backbone in backbones.items():
        kind, name = check_stream(stream)
        if kind != "faces":
            try_network(backbone.module, name, channels=shape[2] if len(shape) == 3 else 1, side=min(shape[:2]))


def _networks(settings: ProbeSettings, store: Store) -> dict[str, str]:
    """What the records of runs among the backbones say of their networks, also where their checkpoints are not on this
    machine.
    """
    found = {}
    for stream in settings.streams:
        name = check_stream(stream)[1]
        # What is no run, or none of the store's, is said when the backbone is opened.
        with contextlib.suppress(RecordError):
            if name.startswith("run:") and (
                known := store.get(name.removeprefix("run:")).training.get("weights_sha256")
            ):
                found[_NETWORK + stream] = str(known)[:16]
    return found


def grid_on(store: Store, protocol: str, model: str, grid: str, inputs: Mapping[str, str]) -> list[Record] | None:
    """The records of a grid on these inputs; empty where the name is free or its records are damaged; None where they
    are of other inputs.

    Args:
        store: of records.
        protocol: name of the protocol.
        model: name of the rows.
        grid: name of the grid.
        inputs: fingerprint; empty: any.
    """
    records = store.find_intact_grid(protocol, model, grid)
    if records and inputs and records[0].inputs and records[0].inputs != dict(inputs):
        return None
    return records or []


def read_inputs(
    settings: ProbeSettings,
    datamodule: AffectDataModule,
    place: Place,
    store: Store | None = None,
    data_dir: str | None = None,
    backbones: Mapping[str, Backbone] | None = None,
) -> Inputs:
    """All streams of the settings, put side by side."""
    opened = backbones or {}
    streams = tuple(
        load_stream(name, settings, datamodule, place, store, data_dir, opened.get(name)) for name in settings.streams
    )
    samples = datamodule.read_samples
    return Inputs(
        datamodule,
        streams,
        fuse(streams, {split: samples.where(split) for split in ("train", *_TESTED)}, settings.standardise),
    )


def choose(records: Sequence[Record], protocol: Protocol, recipe: str) -> list[Record]:
    """Say which rows of a grid are ranked.

    Args:
        records: one per head.
        protocol: names the metric.
        recipe: what the rows are, in words.

    Returns:
        The records, in their order, with recipe, caveats and ``ranked`` filled in. A row with a head whose loss became
        NaN is never chosen; if there is no other, all are ranked, so that the failure is seen.
    """
    means = {split: _means(records, protocol.primary, split) for split in _TESTED}
    sign = 1.0 if protocol.higher_is_better else -1.0
    best = {
        split: max(values, key=lambda row: (sign * values[row], row)) if (values := means[split]) else None
        for split in _TESTED
    }
    done = []
    for record in records:
        updates: dict[str, Any] = {"recipe": recipe, "ranked": best["validation"] is None}
        if record.row == best["validation"] and SELECTED_ON_TEST in protocol.caveats:
            updates |= {"ranked": True, "recipe": f"{recipe}, {ON_TEST}"}
        elif record.row == best["validation"]:
            also = ", also best on test" if record.row == best["test"] else ""
            updates |= {"ranked": True, "recipe": f"{recipe}, {ON_VALIDATION}{also}"}
        elif record.row == best["test"]:
            updates |= {
                "ranked": True,
                "recipe": f"{recipe}, {ON_TEST}",
                "caveats": [*record.caveats, SELECTED_ON_TEST],
            }
        done.append(record.model_copy(update=updates))
    return done


def _means(records: Sequence[Record], primary: str, split: str) -> dict[str, float]:
    """Mean over seeds of the primary metric, of the rows all of whose heads have one."""
    values: dict[str, list[float | None]] = {}
    for record in records:
        metrics = record.metrics if split == "test" else record.validation_metrics
        values.setdefault(record.row, []).append(metrics.get(primary))
    return {
        row: float(np.mean([v for v in found if v is not None])) for row, found in values.items() if None not in found
    }


def table(
    records: Sequence[Record], primary: str
) -> list[tuple[float, str, float | None, float | None, float | None, int]]:
    """The grid at a glance: learning rate, loss, mean on validation, mean and standard deviation (ddof 1) on test,
    seeds; in the order of the grid.
    """
    rows: dict[str, list[Record]] = {}
    for record in records:
        rows.setdefault(record.row, []).append(record)
    validation, test = (_means(records, primary, split) for split in _TESTED)
    out = []
    for row, members in rows.items():
        values = [value for member in members if (value := member.metrics.get(primary)) is not None]
        std = float(np.std(values, ddof=1)) if len(values) == len(members) > 1 else None
        out.append(
            (
                float(members[0].spec["lr"]),
                str(members[0].spec["loss"]),
                validation.get(row),
                test.get(row),
                std,
                len(members),
            )
        )
    return out


def data_spec(settings: ProbeSettings, data_dir: str | None = None) -> RunSpec:
    """A run on the data of a grid."""
    execution = {"data_dir": data_dir, "table_file": settings.table_file}
    return RunSpec.model_validate(
        {
            "dataset": settings.dataset,
            "dataset_options": dict(settings.dataset_options),
            "task": settings.task,
            "execution": execution,
        }
    )


def _stack(inputs: Inputs, trained: TrainedHeads, split: str, device: torch.device) -> StackedPredictions:
    outputs = trained.probabilities(inputs.split(split, device).features)
    return StackedPredictions(inputs.common(split), outputs.astype(np.float16))


def _about(settings: ProbeSettings) -> str:
    return "linear probe" if len(settings.streams) == 1 else "late fusion"


def _draft(
    settings: ProbeSettings,
    protocol: Protocol,
    facts: Mapping[str, Any],
    inputs: Inputs,
    place: Place,
    grid: str,
    seconds: Mapping[str, float],
) -> Record:
    width = inputs.values["train"].shape[1]
    trainable = (width + 1) * protocol.task.n_outputs
    faces = {stream.name: stream.facts for stream in inputs.streams if "n_faces" in stream.facts}
    unused = {"detector"} if all("detector" not in found for found in faces.values()) else set()
    spec = settings.model_dump(mode="json", exclude={"lr", "loss", "seeds", "recipe", "max_epochs", *unused})
    notes = [f"{stream.name}: {name} {value}" for stream in inputs.streams for name, value in stream.facts.items()]
    gpu = torch.cuda.get_device_name(place.device) if place.device.type == "cuda" else None
    return Record(
        run_id=grid,
        row=grid,
        kind="probe",
        protocol=protocol.name,
        protocol_version=protocol.version,
        task=settings.task,
        dataset=settings.dataset,
        model=settings.model,
        spec={
            **spec,
            "epochs": settings.max_epochs,
            "width": width,
            "grid": {"lr": list(settings.lr), "loss": list(settings.loss), "seeds": len(settings.seeds)},
        },
        data={
            **facts,
            "features": {stream.name: stream.key for stream in inputs.streams},
            **({"faces": faces} if faces else {}),
        },
        code=provenance.code(),
        hardware=provenance.machine() | {"accelerator": place.device.type, "precision": place.precision, "gpu": gpu},
        parameters={"trainable": trainable, "total": trainable + sum(stream.parameters for stream in inputs.streams)},
        training={"grid_seconds": dict(seconds)},
        caveats=list(protocol.caveats),
        notes=(
            notes
            if facts["known_copy"] is not False
            else [*notes, "another copy of the data than the one that the protocol ranks"]
        ),
        created=provenance.now(),
    )


def _record(
    draft: Record,
    protocol: Protocol,
    trained: TrainedHeads,
    stacked: Mapping[str, StackedPredictions],
    train: StackedPredictions,
    h: int,
) -> Record:
    head = trained.heads[h]
    row = row_id(draft.row, head.lr, head.loss)
    own = {
        "run_id": f"{row}-s{head.seed}",
        "row": row,
        "seed": head.seed,
        "spec": {**draft.spec, "lr": head.lr, "loss": head.loss, "seed": head.seed},
        "training": {**draft.training, "epochs": int(trained.epochs[h]), "best_epoch": int(trained.chosen_epoch[h])},
    }
    record = draft.model_copy(update=own)
    if trained.chosen_epoch[h] < 0:
        return without_scores(record, "the loss was never finite", created=draft.created)
    on_train = scored_on_train(protocol, train.of(h))
    record = record.model_copy(update={"training": {**record.training, "on_train": on_train}})
    return scored(record, protocol, {split: stacked[split].of(h) for split in _TESTED}, created=draft.created)
