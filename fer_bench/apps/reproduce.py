"""``fer-bench reproduce``: a row once more, from its record alone, and whether it comes out the same."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench import paths
from fer_bench.data.provenance import data_facts
from fer_bench.datasets.load import build_datamodule
from fer_bench.deploy.probe import probe_of
from fer_bench.ensembles.recompute import recompute_from_members
from fer_bench.errors import RecordError
from fer_bench.leaderboard.spread import spread_of
from fer_bench.models.trained import recall
from fer_bench.pinning import PINNED, file_digest
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.results import provenance, reproductions
from fer_bench.results.begin import run_folder
from fer_bench.results.corruptions import made_with
from fer_bench.results.inputs import is_of, stated
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record
from fer_bench.results.reproductions import Reproduction
from fer_bench.results.store import Store
from fer_bench.scoring.rows import metric
from fer_bench.spec import Execution, RunSpec, build
from fer_bench.sweeps.folds import fold_specs, is_experiment, run_folds

Say = Callable[[str], None]
_NOT_HERE = {
    "human": ("people answered, and nobody asks them again", "There is nothing to train."),
    "external": ("another program made its predictions", "Ask who submitted it; its record names the reference."),
    "evaluated": ("it tests a network that another run trained", "Reproduce that run, and evaluate it again."),
}


def reproduce(
    store: Store, reference: str, execution: Execution, files: Iterable[Path] = (), say: Say = print
) -> tuple[Reproduction, Path]:
    """Train a row again from its record, and write down apart from it what came of it.

    Settings are the record's; the data must be, by their fingerprint. A cross-validation is trained on all of its
    folds, a probe's head is fitted again on its backbone's features, an ensemble is recomputed from its members. What
    was interrupted resumes from its last epoch.

    Args:
        store: of the record.
        reference: as for :meth:`Store.get`.
        execution: where and how.
        files: that the settings name by digest.
        say: is told what is done.

    Returns:
        What came of it, and its file.

    Raises:
        RecordError: no such record, or one that cannot be reproduced, with the reason.
        FerBenchError: any other error of a run.
    """
    record = store.get(reference)
    if record.kind in _NOT_HERE or record.status != "finished" or "test" not in record.predictions:
        what, hint = _NOT_HERE.get(record.kind, (f"its status is {record.status}", "Choose a finished run."))
        problem = f"run {record.run_id} cannot be reproduced: {what}."
        raise RecordError(problem, hint)
    protocol, now = protocol_of(record), provenance.code()
    say(f"record      {record.run_id} of {record.protocol} {record.model}, kind {record.kind}")
    say(f"code        recorded with {_code(record.code)}, here {_code(now)}")
    if record.kind == "ensemble":
        return _written(store, _recomputed(store, record, protocol, now), None)
    began = time.perf_counter()
    folder = paths.runs_dir() / "reproductions" / record.run_id
    again, predictions = (
        _head(store, record, execution, folder)
        if record.kind == "probe"
        else _trained(store, record, execution, folder, files, say)
    )
    found = _compared(store, record, again, predictions, protocol)
    found = found.model_copy(update={"seconds": round(time.perf_counter() - began, 1)})
    done = _written(store, found, predictions)
    shutil.rmtree(folder, ignore_errors=True)
    return done


def _trained(
    store: Store, record: Record, execution: Execution, folder: Path, files: Iterable[Path], say: Say
) -> tuple[Record, Predictions]:
    from fer_bench.training.run import run

    recall(record)
    spec = _spec(record, execution, files)
    _require_its_data(spec, record, store)
    _take_threads(record, say)
    with paths.scratch(folder=folder):
        apart = Store()
        again = run_folds(spec, apart) if is_experiment(spec) else run(spec, apart)
        predictions = apart.predictions(again)
        here = run_folder(spec, again)
    weights = record.training.get("weights_sha256")
    there = run_folder(spec, record)
    if weights and weights == again.training.get("weights_sha256") and not there.exists():
        # The very network of the record: whoever predicts with it needs no other.
        shutil.copytree(here, there)
        say(f"weights     the record's, bit for bit: kept in {there}")
    return again, predictions


def _head(store: Store, record: Record, execution: Execution, folder: Path) -> tuple[Record, Predictions]:
    """The one head of a grid that a record is of."""
    from fer_bench.probes.features import Place
    from fer_bench.probes.grid import run_grid
    from fer_bench.training import hardware

    settings = probe_of(record)
    own = {"max_epochs": record.spec["epochs"]} if "epochs" in record.spec else {}
    settings = settings.model_copy(update={**own, "resample": bool(record.spec.get("resample"))})
    device = hardware.resolve(RunSpec.model_validate({"execution": {"accelerator": execution.accelerator}}))
    place = Place(device.device, str(record.hardware.get("precision") or device.precision), device.workers)
    with paths.scratch(folder=folder):
        apart = Store()
        (again,) = run_grid(settings, apart, place=place, data_dir=execution.data_dir)
        predictions = apart.predictions(again)
    _require_same_inputs(record, again.inputs)
    return again, predictions


def _spec(record: Record, execution: Execution, files: Iterable[Path]) -> RunSpec:
    """The settings of a record, which must mean in this version what they meant."""
    named = {file_digest(path): str(path.resolve()) for path in files}
    known = {f"{PINNED}{digest}": path for digest, path in named.items()}
    labels = named.get(str(record.spec.get("labels") or ""))
    placed = execution.model_copy(
        update={"files": {**execution.files, **known}, **({"labels_file": labels} if labels else {})}
    )
    spec = build({**record.spec, "execution": placed}, f"the record of {record.run_id}")
    if spec.run_id() != record.run_id.partition("-x")[0]:
        problem = f"run {record.run_id}: its settings are those of run {spec.run_id()} in this version."
        version = record.code.get("version") or "that it names"
        raise RecordError(problem, f"Reproduce it with fer_bench {version}, which recorded it.")
    return spec


def _require_its_data(spec: RunSpec, record: Record, store: Store) -> None:
    """Refuse other data before anything is trained."""
    if is_experiment(spec):
        # Each fold is a run whose own record says what it was trained on.
        for fold, run_id in zip(fold_specs(spec), record.data["folds"], strict=True):
            _require_same_inputs(store.get(str(run_id)), _inputs_here(fold, store))
    else:
        _require_same_inputs(record, _inputs_here(spec, store))


def _inputs_here(spec: RunSpec, store: Store) -> dict[str, str]:
    from fer_bench.training.fingerprint import fingerprint_here

    datamodule = build_datamodule(spec)
    datamodule.setup()
    return fingerprint_here(spec, data_facts(datamodule, spec.judge), lambda: datamodule, store)


def _require_same_inputs(record: Record, inputs: dict[str, str]) -> None:
    if is_of(record, inputs):
        return
    known, _ = stated(record)
    if not known:
        problem = f"run {record.run_id} does not say on which data it was trained."
        raise RecordError(problem, "Its record is of the first days; repeat the run.")
    name = next(name for name in sorted({*known, *inputs}) if known.get(name) != inputs.get(name))
    problem = (
        f"run {record.run_id} was made with other inputs than there are here: {name} is {inputs.get(name, 'missing')},"
        f" recorded is {known.get(name, 'none')}."
    )
    raise RecordError(problem, "Give the folder of the right data with --data-dir, or the right file with --file.")


def _take_threads(record: Record, say: Say) -> None:
    """On a processor, results are bit-identical only with the same number of threads."""
    import torch

    threads = record.hardware.get("threads")
    if record.hardware.get("accelerator") != "cpu" or not isinstance(threads, int):
        return
    if 0 < threads <= (os.cpu_count() or 1):
        torch.set_num_threads(threads)
        say(f"threads     {threads}, as recorded")
    else:
        say(f"threads     {torch.get_num_threads()}; recorded are {threads}, so that rounding differs")


def _compared(
    store: Store, record: Record, again: Record, predictions: Predictions, protocol: Protocol
) -> Reproduction:
    recorded = store.predictions(record)
    identical = all(
        np.array_equal(getattr(recorded, name), getattr(predictions, name), equal_nan=name == "outputs")
        for name in ("ids", "targets", "outputs")
    )
    score, spread = metric(again.metrics, protocol.primary), spread_of(store, record)
    within = True if identical else None
    if spread is not None and score is not None and not identical:
        within = spread.low <= score <= spread.high
    return Reproduction(
        **_named(record, protocol),
        score=score,
        low=None if spread is None else spread.low,
        high=None if spread is None else spread.high,
        spread="" if spread is None else spread.how,
        within=within,
        identical=identical,
        differences=_differences(record, again),
        inputs=again.inputs,
        code=again.code,
        hardware=again.hardware,
        created=provenance.now(),
    )


def _recomputed(store: Store, record: Record, protocol: Protocol, code: dict[str, Any]) -> Reproduction:
    differences = recompute_from_members(store, record)
    return Reproduction(
        **_named(record, protocol),
        how="recomputed",
        score=None if differences else metric(record.metrics, protocol.primary),
        within=not differences,
        identical=not differences,
        differences=differences,
        code=code,
        hardware=provenance.machine(),
        created=provenance.now(),
    )


def _named(record: Record, protocol: Protocol) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "protocol": record.protocol,
        "model": record.model,
        "of": made_with(record),
        "metric": protocol.primary,
        "recorded": metric(record.metrics, protocol.primary),
        "code_of_record": {key: record.code.get(key) for key in ("version", "commit") if record.code.get(key)},
    }


def _differences(record: Record, again: Record) -> list[str]:
    """In what the two trainings were not the same, for who asks why scores differ."""

    def said(one: Record) -> dict[str, Any]:
        packages = one.code.get("packages") or {}
        return {
            "fer_bench": _code(one.code),
            **{name: packages.get(name) for name in ("torch", "torchvision", "timm", "albumentations")},
            **{name: one.hardware.get(name) for name in ("accelerator", "precision", "threads", "processor", "gpu")},
        }

    was, now = said(record), said(again)
    return [f"{name} {was[name]}, now {now[name]}" for name in was if was[name] != now[name]]


def _code(code: dict[str, Any]) -> str:
    commit = str(code.get("commit") or "")[:10]
    changed = ", changed" if code.get("modified") else ""
    return f"{code.get('version') or 'an unknown version'}" + (f" (commit {commit}{changed})" if commit else "")


def _written(store: Store, found: Reproduction, predictions: Predictions | None) -> tuple[Reproduction, Path]:
    return found, reproductions.put(store, found, predictions)
