"""What the records of a grid say besides their scores, and their predictions, over all folds where there are some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fer_bench.predictions import Predictions
from fer_bench.probes.features import Place
from fer_bench.probes.grid_inputs import Inputs
from fer_bench.probes.head import RIDGE, AnyHead, RidgeHead
from fer_bench.probes.heads import TrainedHeads
from fer_bench.probes.settings import ProbeSettings, row_id
from fer_bench.protocols import Protocol
from fer_bench.results import provenance
from fer_bench.results.grids import StackedPredictions
from fer_bench.results.record import Record
from fer_bench.scoring.folds import pooled
from fer_bench.scoring.record import scored, scored_on_train, without_scores

TESTED = ("validation", "test")
# Settings that differ between the heads of a grid, or decide no result.
_OWN = frozenset({"lr", "loss", "penalty", "seeds", "recipe", "max_epochs", "resample"})
_OF_STEPS = frozenset({"epochs", "batch_size", "patience"})
# What all folds of a copy share.
_OF_COPY = ("layout", "image_size", "image_shape", "n_quarantined", "names")


def stack(inputs: Inputs, trained: TrainedHeads, split: str, device: torch.device) -> StackedPredictions:
    """What all heads answer on one split. Probabilities are kept in half precision, values, whose units may be any, in
    single precision.
    """
    outputs = trained.outputs(inputs.split(split, device).features)
    limit = np.finfo(np.float32).max
    # What overflowed is as far off as can be; of a head that never was finite nothing is scored.
    kept = outputs.astype(np.float16) if trained.classes else outputs.clip(-limit, limit)
    samples = inputs.datamodule.read_samples
    if "no_face" in samples.columns:
        # As of trained networks: such an image is one without an answer.
        kept[:, samples.columns["no_face"][samples.where(split)].astype(bool)] = np.nan
    return StackedPredictions(inputs.common(split), kept)


def stacked_over_folds(folds: Sequence[StackedPredictions], split: str) -> StackedPredictions:
    """The predictions of all folds together, each sample as often as it was predicted: in test once.

    Args:
        folds: of each fold.
        split: a sample of training or validation is so in several folds; its id there begins with the fold's number.
    """
    commons = [
        replace(part.common, ids=np.array([f"{number}:{name}" for name in part.common.ids]))
        if split != "test"
        else part.common
        for number, part in enumerate(folds)
    ]
    # By the ids alone, as their predictions are pooled.
    order = np.argsort(np.concatenate([common.ids for common in commons]), kind="stable")
    return StackedPredictions(pooled(commons), np.concatenate([part.outputs for part in folds], axis=1)[:, order])


def facts_of(facts: Sequence[Mapping[str, Any]], stacked: Mapping[str, StackedPredictions], fold_by: str) -> Any:
    """What the records say of their data; over all folds, what the folds have in common."""
    if len(facts) == 1:
        return dict(facts[0])
    first, copy = facts[0], str(facts[0]["fold"]["copy"])
    return {
        **{key: first[key] for key in _OF_COPY if key in first},
        "n": {"test": len(stacked["test"])},
        "checksums": {"test": copy} if copy else {},
        "known_copy": None,
        "notes": list(dict.fromkeys(note for fold in facts for note in fold.get("notes", []))),
        "fold_by": fold_by,
    }


def draft_record(
    settings: ProbeSettings,
    protocol: Protocol,
    facts: Mapping[str, Any],
    inputs: Inputs,
    place: Place,
    grid: str,
    seconds: Mapping[str, float],
) -> Record:
    """A record of any head of a grid, without what is the head's own.

    Args:
        settings: of the grid.
        protocol: by which it is judged.
        facts: of :func:`facts_of`.
        inputs: of the grid; of folds, of any.
        place: device and precision.
        grid: name of the grid.
        seconds: what took how long.
    """
    width = inputs.values["train"].shape[1]
    trainable = (width + 1) * protocol.task.n_outputs
    faces = {stream.name: stream.facts for stream in inputs.streams if "n_faces" in stream.facts}
    unused = {"detector"} if all("detector" not in found for found in faces.values()) else set()
    spec = settings.model_dump(mode="json", exclude={*_OWN, *unused})
    axes: dict[str, Any] = {"lr": list(settings.lr), "loss": list(settings.loss), "seeds": len(settings.seeds)}
    if RIDGE in settings.loss:
        axes |= {"penalty": list(settings.penalty)}
        spec |= {"resample": True} if settings.resample else {}
    notes = [f"{stream.name}: {name} {value}" for stream in inputs.streams for name, value in stream.facts.items()]
    if protocol.fold_by and "fold" not in facts:
        notes.append("one head for each fold; validation scores are of the validation samples of all folds together")
    if facts["known_copy"] is False:
        notes.append("another copy of the data than the one that the protocol ranks")
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
        spec={**spec, "epochs": settings.max_epochs, "width": width, "grid": axes},
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
        notes=notes,
        created=provenance.now(),
    )


def head_record(
    draft: Record,
    protocol: Protocol,
    parts: Sequence[TrainedHeads],
    stacked: Mapping[str, StackedPredictions],
    train: StackedPredictions,
    h: int,
) -> Record:
    """The record of one head, scored on what is stored of it.

    Args:
        draft: of :func:`draft_record`.
        protocol: by which it is judged.
        parts: the heads of the grid; of folds, those of each.
        stacked: their predictions, by split.
        train: likewise, of the training split, which are scored and not stored.
        h: which head.
    """
    head = parts[0].heads[h]
    row = row_id(draft.row, head.settings())
    own = {
        "run_id": f"{row}-s{head.seed}",
        "row": row,
        "seed": head.seed,
        "spec": {**_spec_of(draft, head), **head.settings(), "seed": head.seed},
        "training": {**draft.training, **_trained(parts, h)},
    }
    record = draft.model_copy(update=own)
    if any(part.chosen_epoch[h] < 0 for part in parts):
        return without_scores(record, "the loss was never finite", created=draft.created)
    on_train = scored_on_train(protocol, train.of(h))
    record = record.model_copy(update={"training": {**record.training, "on_train": on_train}})
    predictions: dict[str, Predictions] = {split: stacked[split].of(h) for split in TESTED}
    return scored(record, protocol, predictions, created=draft.created)


def _spec_of(draft: Record, head: AnyHead) -> dict[str, Any]:
    """The settings that decide a head: those of steps decide no closed form."""
    without = _OF_STEPS if isinstance(head, RidgeHead) else frozenset()
    return {key: value for key, value in draft.spec.items() if key not in without}


def _trained(parts: Sequence[TrainedHeads], h: int) -> dict[str, Any]:
    """How long a head was trained; a closed form has no epochs."""
    if not parts[0].epochs[h]:
        return {}
    epochs, best = [int(part.epochs[h]) for part in parts], int(parts[0].chosen_epoch[h])
    return {"epochs": epochs[0], "best_epoch": best} if len(parts) == 1 else {"epochs": max(epochs)}
