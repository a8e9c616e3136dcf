"""A network trained on one dataset, tested on another: labels are mapped by name, and those without a counterpart are
left out and counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_bench.data.provenance import data_facts
from fer_bench.datasets.load import build_datamodule, dataset_class
from fer_bench.ensembles.selection import as_gain
from fer_bench.errors import MissingDataError, RecordError, SpecError
from fer_bench.layering import default_task
from fer_bench.own_data import settle
from fer_bench.plugins import CODE
from fer_bench.predictions import Predictions
from fer_bench.protocols import VIA, Protocol, find_task, info_of, parts_of, protocol_for
from fer_bench.protocols.union import UnionOptions
from fer_bench.results import provenance
from fer_bench.results.copies import checksums_of
from fer_bench.results.inputs import NETWORK, Inputs, data_inputs, evaluated_id
from fer_bench.results.lineage import inherited_caveats, lineage, require_unseen
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.mapping import Mapping, apply_mapping, map_labels
from fer_bench.scoring.record import scored
from fer_bench.spec import Execution, RunSpec, build
from fer_bench.training import hardware
from fer_bench.training.inference import predict
from fer_bench.training.loading import Trained, load_record
from fer_bench.training.outside import plugin_facts


def rescale(predictions: Predictions, source: tuple[float, float], target: tuple[float, float]) -> Predictions:
    """Rescale predicted values from one dataset's scale to another's, linearly.

    Args:
        predictions: outputs (N, D) in units of the source; the targets are the target's already.
        source: (low, high) of the dataset that was trained on.
        target: (low, high) of the dataset that is tested on.
    """
    share = (predictions.outputs.astype(np.float64) - source[0]) / (source[1] - source[0])
    outputs = (target[0] + share * (target[1] - target[0])).astype(np.float32)
    return Predictions(predictions.ids, predictions.targets, outputs, predictions.flags, predictions.groups)


def evaluate(
    store: Store,
    reference: str,
    dataset: str,
    task: str | None = None,
    execution: Execution | None = None,
    options: dict[str, Any] | None = None,
) -> Record:
    """Test a trained network on another dataset, once, and write the record.

    Classes are mapped by name, values are rescaled. A dataset without a test split, one that is split into folds, is
    tested as a whole: none of it was trained on. Of a cross-validation the fold that did best on its own
    validation is taken. On the dataset and task that it was trained on, a run has been tested already: its own record
    is returned unchanged.

    Args:
        store: of the run, and of the new record.
        reference: the run.
        dataset: to test on.
        task: of the dataset; None: the one whose label set fits best.
        execution: dataset root directory and hardware.
        options: of the dataset; ``classes`` name those of user data.

    Raises:
        UnknownNameError: no such dataset or task.
        SpecError: the label sets have too few common classes, or the dimensions differ; or options that split the run's
            own dataset differently.
        RecordError: the dataset is the run's own, but the present copy is not the one that it was tested on.
    """
    own = settle(
        {"dataset": dataset, "dataset_options": options or {}, "task": task, "execution": execution or Execution()}
    )
    dataset, task, execution = own["dataset"], own["task"], Execution.model_validate(own["execution"])
    dataset_class(dataset)
    asked = store.get(reference)
    if asked.kind == "trained" and dataset == asked.dataset:
        _check_own(asked, own["dataset_options"])
        if task in (None, asked.task):
            _require_own_copy(asked, execution)
            return asked
    trained = load_record(_best_fold(store, asked), execution)
    source = trained.protocol
    values = source.task.labels is None
    target_task = task or (trained.spec.task if values else default_task(dataset, trained.spec.task))
    name = target_task if target_task == trained.spec.task or values else f"{target_task}{VIA}{trained.spec.task}"
    protocol = protocol_for(dataset, name, options=own["dataset_options"])
    if protocol.task.kind != source.task.kind or not set(protocol.task.dimensions) <= set(source.task.dimensions):
        problem = f"run {trained.record.run_id} predicts {trained.spec.task}, which cannot be scored as {target_task}."
        raise SpecError(problem, "Leave --task out, or choose a run of that task.")
    # Of its own dataset, under another task, a run may be tested on its test split alone.
    same, within = dataset == trained.spec.dataset, dataset in parts_of(trained.spec.dataset)
    options_there = trained.spec.dataset_options if same else own["dataset_options"]
    if within:
        options_there = _options_within(trained, dataset, own["dataset_options"])
    spec = abroad_spec(trained.spec, dataset, target_task, options_there)
    device = hardware.resolve(spec)
    datamodule = build_datamodule(spec, workers=device.workers)
    datamodule.test_only = not same and not within
    datamodule.setup()
    facts = data_facts(datamodule, protocol)
    inputs = data_inputs(facts)
    networks = lineage([trained.record], store)
    everything = datamodule.test_only and datamodule.folding is not None
    require_unseen(networks, dataset, options_there, None if everything else inputs)
    predictions = predict(trained.task, datamodule, "test", device, spec)
    notes = [f"trained on {source.name} (run {trained.record.run_id})"]
    if datamodule.test_only and datamodule.folding is not None:
        notes.append(f"tested on all {len(predictions)} samples of {dataset}: none of them was trained on")
    if values:
        left_out = [dimension for dimension in source.task.dimensions if dimension not in protocol.task.dimensions]
        if left_out:
            notes.append(f"left out: the output {', '.join(left_out)}")
        predictions = rescale(
            _outputs_of(predictions, source.task.dimensions, protocol.task.dimensions), source.scale, protocol.scale
        )
        if source.scale != protocol.scale:
            notes.append(
                f"values rescaled from {source.scale[0]:g}..{source.scale[1]:g} to"
                f" {protocol.scale[0]:g}..{protocol.scale[1]:g}, end to end"
            )
    elif name != target_task:
        n_all = len(predictions)
        mapping = _mapping(trained, protocol, target_task)
        predictions = apply_mapping(mapping, predictions)
        notes.append(
            f"left out: {n_all - len(predictions)} of {n_all} test samples"
            f" ({', '.join(mapping.dropped_target) or 'no class'}), and the outputs"
            f" {', '.join(mapping.dropped_source) or 'none'}"
        )
    plain = f"{trained.record.run_id}-on-{protocol.dataset}"
    run_id = evaluated_id(store, protocol.name, trained.record.model, plain, inputs, facts["known_copy"])
    draft = trained.record.model_copy(
        update={
            "run_id": run_id,
            "row": f"{trained.record.row}-on-{protocol.dataset}{run_id.removeprefix(plain)}",
            "inputs": evaluated_inputs(trained.record, inputs),
            "kind": "evaluated",
            "protocol": protocol.name,
            "protocol_version": protocol.version,
            "task": name,
            "dataset": dataset,
            "recipe": (
                f"trained on {trained.spec.dataset}" + (f", {trained.record.recipe}" if trained.record.recipe else "")
            ),
            "data": facts | {"trained_on": trained.record.data},
            "code": provenance.code() | plugin_facts(spec),
            "notes": notes,
            "caveats": [
                *inherited_caveats(networks, dataset, store, trained=False),
                *([f"trained on {trained.spec.dataset}"] if within else []),
            ],
            "predictions": {},
        }
    )
    tested = {"test": predictions}
    return store.put(scored(draft, protocol, tested), tested)


def _require_own_copy(record: Record, execution: Execution) -> None:
    """Do not return a run's own record if the present copy of the dataset is not the one it was
    tested on.

    Raises:
        RecordError: the copies differ.
    """
    options = record.spec.get("dataset_options") or {}
    whole = {"fold": 0} if record.data.get("folds") else {}
    settings = {
        **record.spec,
        "dataset_options": {**options, **whole},
        "labels": "",
        "weights": "none",
        "execution": execution,
    }
    spec = build(settings, f"the record of {record.run_id}")
    try:
        datamodule = build_datamodule(spec)
        datamodule.setup()
    except MissingDataError:
        # A missing dataset is not a different copy.
        return
    facts = data_facts(datamodule, spec.judge)
    found, stated = (
        (facts.get("fold") or {}).get("copy") or facts["checksums"].get("test"),
        checksums_of(record).get("test"),
    )
    if stated and found != stated:
        problem = (
            f"run {record.run_id} was tested on another copy of {record.dataset} than the one that is here (checksum"
            f" {stated}, here {found})."
        )
        raise RecordError(
            problem, "Train on this copy with `fer-bench run`, or give the folder of the other one with --data-dir."
        )


def _check_own(asked: Record, options: dict[str, Any]) -> None:
    """Other options would split the run's own dataset differently, and test it on samples that it was trained on."""
    trained = asked.spec.get("dataset_options", {})
    other = {key: value for key, value in options.items() if key not in trained or trained[key] != value}
    if other:
        listed = ", ".join(f"dataset_options.{key} = {value!r}" for key, value in other.items())
        problem = f"run {asked.run_id} was trained on {asked.dataset} itself, without {listed}."
        raise SpecError(
            problem,
            "Leave --set out: on its own dataset a run is tested on its own test split. Or train with these options, by"
            " `fer-bench run`.",
        )


def abroad_spec(spec: RunSpec, dataset: str, task: str | None = None, options: dict[str, Any] | None = None) -> RunSpec:
    """The settings with which a network of a run is tested on another dataset; ``task`` None: the one that fits."""
    chosen = task or (spec.task if find_task(spec.task).labels is None else default_task(dataset, spec.task))
    return spec.model_copy(
        update={
            "dataset": dataset,
            "task": chosen,
            "target_mode": "hard",
            "dataset_options": options or {},
            "labels": "",
        }
    )


def _options_within(trained: Trained, dataset: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options with which a run has read one of its sources: with others, test faces could be among its own."""
    model = info_of(trained.spec.dataset).read_options(trained.spec.dataset_options)
    assert isinstance(model, UnionOptions)
    own = model.of(dataset)
    if options and options != own:
        problem = f"run {trained.record.run_id} was trained on {dataset} too, with the options {own or 'none'}."
        raise SpecError(problem, "Leave --set out: of what it was trained on, a run is tested on the test split alone.")
    return own


def evaluated_inputs(network: Record, inputs: Inputs) -> Inputs:
    """Fingerprint of a test on another dataset: that of its data, and the network's."""
    code = {name: value for name, value in network.inputs.items() if name == f"{CODE}model"}
    return {
        **inputs,
        **code,
        NETWORK: str(network.training.get("weights_sha256") or network.predictions["test"].sha256)[:16],
    }


def _outputs_of(predictions: Predictions, own: tuple[str, ...], wanted: tuple[str, ...]) -> Predictions:
    """Predictions with the outputs of some dimensions only."""
    columns = [own.index(dimension) for dimension in wanted]
    return Predictions(
        predictions.ids, predictions.targets, predictions.outputs[:, columns], predictions.flags, predictions.groups
    )


def _best_fold(store: Store, record: Record) -> Record:
    """The run itself; of a cross-validation, the fold that did best on its own validation."""
    folds = [store.get(run_id) for run_id in record.data.get("folds") or ()]
    primary = protocol_for(record.dataset, record.task).primary
    # What is undefined is worst, and of errors the smallest is best.
    values = [fold.validation_metrics.get(primary) for fold in folds]
    gains = as_gain([np.nan if value is None else value for value in values], primary)
    return folds[max(range(len(folds)), key=lambda i: (gains[i], folds[i].run_id))] if folds else record


def _mapping(trained: Trained, protocol: Protocol, target_task: str) -> Mapping:
    target = protocol_for(protocol.dataset, target_task).task.labels
    source, shared = trained.protocol.task.labels, protocol.task.labels
    assert source is not None
    assert target is not None
    assert shared is not None
    return map_labels(source, target, shared)
