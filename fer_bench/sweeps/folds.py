"""A cross-validation as one experiment: every fold trained and tested as a separate run, and one record over all of
them.

The experiment's record holds the predictions of all folds together, each sample once, and is what a leaderboard ranks:
its scores are *pooled*; the mean over folds of their own scores is given next to it as *averaged*. A fold whose record
exists is not repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fer_bench.cross_validation import Folding
from fer_bench.errors import RunNanError, SpecError
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol, protocol_for
from fer_bench.results.begin import begin_record
from fer_bench.results.inputs import Inputs, digest, find_done, run_id_for, stated
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.folds import pooled
from fer_bench.scoring.record import scored, without_scores
from fer_bench.spec import RunSpec

Run = Callable[..., Record]


def is_experiment(spec: RunSpec) -> bool:
    """Whether a spec asks for all folds: it names how many, and no single one."""
    return spec.folding is not None and spec.folding.fold is None


def fold_specs(spec: RunSpec) -> list[RunSpec]:
    """The runs of an experiment, by fold.

    Raises:
        SpecError: the spec asks for no folds, or for a single one.
    """
    folding = _folding(spec)
    return [
        spec.model_copy(update={"dataset_options": {**spec.dataset_options, "fold": fold}})
        for fold in range(folding.folds)
    ]


def run_folds(spec: RunSpec, store: Store | None = None, *, force: bool = False, run: Run | None = None) -> Record:
    """Run the folds that have no record yet, and write the experiment's record.

    Args:
        spec: ``dataset_options`` hold ``folds`` and ``fold_by``, and no ``fold``.
        store: where records go; None: the project's leaderboards.
        force: repeat folds whose record exists.
        run: carries out one fold; None: :func:`fer_bench.training.run.run`.

    Returns:
        The experiment's record.

    Raises:
        SpecError: the spec asks for no folds.
        RunNanError: a fold's loss became NaN; the experiment's record says so.
    """
    if run is None:
        from fer_bench.training.run import run as one_run

        run = one_run
    folding = _folding(spec)
    store = store or Store()
    protocol = protocol_for(spec.dataset, spec.task, folding.by)
    records: list[Record] = []
    for number, fold_spec in enumerate(fold_specs(spec), start=1):
        try:
            records.append(run(fold_spec, store, force=force))
        except RunNanError as error:
            inputs = experiment_inputs(records)
            draft = begin_record(
                spec, protocol, run_id_for(store, protocol.name, spec.model, spec.run_id(), inputs, None)
            )
            store.put(
                without_scores(
                    draft.model_copy(update={"inputs": inputs}), f"fold {number} of {folding.folds}: {error.problem}"
                )
            )
            raise
    inputs, predictions = experiment_inputs(records), [store.predictions(record) for record in records]
    existing = find_done(store, protocol.name, spec.model, spec.run_id(), inputs)
    caveats = {caveat for record in records for caveat in record.caveats}
    # A record of an earlier version may lack what its folds say: it is written again, with the same numbers.
    whole = existing is not None and not force and caveats <= set(existing.caveats)
    if existing is not None and whole and _holds(store.predictions(existing), predictions):
        return existing
    run_id = run_id_for(store, protocol.name, spec.model, spec.run_id(), inputs, None)
    return store.put(*joined(spec, protocol, records, predictions, run_id))


def experiment_inputs(folds: Sequence[Record]) -> Inputs:
    """Fingerprint of an experiment: that of each fold, and the whole copy as its test split."""
    copies = {record.data.get("fold", {}).get("copy", "") for record in folds}
    return {
        "test": next(iter(copies), ""),
        **{f"fold {number}": digest(stated(record)[0]) for number, record in enumerate(folds)},
    }


def _holds(experiment: Predictions, folds: Sequence[Predictions]) -> bool:
    """Whether an experiment has the predictions that its folds have now."""
    whole = pooled(folds)
    return all(
        np.array_equal(getattr(experiment, name), getattr(whole, name)) for name in ("ids", "targets", "outputs")
    )


def joined(
    spec: RunSpec, protocol: Protocol, records: Sequence[Record], predictions: Sequence[Predictions], run_id: str = ""
) -> tuple[Record, dict[str, Predictions]]:
    """The experiment's record and its predictions, from those of its folds.

    Args:
        spec: of the experiment.
        protocol: of the experiment.
        records: one per fold.
        predictions: of the test split of each.
        run_id: of the experiment; empty: by its settings alone.

    Raises:
        SpecError: the folds were run on different copies of the data.
    """
    copies = {record.data.get("fold", {}).get("copy", "") for record in records}
    if len(copies) > 1:
        problem = f"the folds of {spec.run_id()} were run on {len(copies)} different copies of the data."
        raise SpecError(problem, "Run them again with --force.")
    test = pooled(predictions)
    (copy,) = copies
    first = records[0]
    total = {
        key: sum(float(record.training.get(key) or 0) for record in records)
        for key in ("seconds", "prediction_seconds")
    }
    outside = {"plugins": first.code["plugins"]} if "plugins" in first.code else {}
    begun = begin_record(spec, protocol, run_id or spec.run_id())
    draft = begun.model_copy(
        update={
            "code": begun.code | outside,
            "inputs": experiment_inputs(records),
            "data": {
                "layout": first.data.get("layout"),
                "n": {"test": len(test)},
                "checksums": {"test": copy} if copy else {},
                "known_copy": None,
                "notes": list(dict.fromkeys(note for record in records for note in record.data.get("notes", []))),
                "n_quarantined": first.data.get("n_quarantined", 0),
                "folds": [record.run_id for record in records],
                "fold_by": protocol.fold_by,
                **({"names": first.data["names"]} if "names" in first.data else {}),
            },
            "training": {**total, "epochs": first.training.get("epochs"), "folds": len(records)},
            "hardware": first.hardware,
            "parameters": first.parameters,
            # Of whatever a fold began with or was taught by.
            "caveats": list(dict.fromkeys([*begun.caveats, *(each for record in records for each in record.caveats)])),
        }
    )
    together = {"test": test}
    return scored(draft, protocol, together), together


def _folding(spec: RunSpec) -> Folding:
    folding = spec.folding
    if folding is None or folding.fold is not None:
        problem = "a cross-validation needs dataset_options.folds, and no dataset_options.fold."
        raise SpecError(problem, "For example --folds 5.")
    return folding


def describe(record: Record, primary: str) -> str:
    """One line: the pooled score, and the average over folds with its spread."""
    folds: dict[str, Any] = record.metrics.get("folds") or {}
    value, mean, std = (
        record.metrics.get(primary),
        (folds.get("averaged") or {}).get(primary),
        (folds.get("std") or {}).get(primary),
    )
    text = f"pooled {primary} {_number(value)}"
    return text if mean is None else f"{text}; averaged over {folds['n']} folds {_number(mean)} ± {_number(std)}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
