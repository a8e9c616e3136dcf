"""Training and testing networks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fer_bench import plugins
from fer_bench.api.arguments import WHERE, StoreLike, name_of, run_reference
from fer_bench.apps.runs import carry_out, compose, gathered, which_ferplus
from fer_bench.errors import SpecError
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec, build


def run(
    dataset: Any = None,
    model: Any = None,
    *,
    spec: RunSpec | None = None,
    use: str | None = None,
    store: StoreLike = None,
    force: bool = False,
    **settings: Any,
) -> Record:
    """Train, select on validation, test once, write the record, and render the board; as ``fer-bench run``.

    Settings that are not given come from the best recipe known for the dataset and the network (``benchmarks/*.yaml``).
    A finished run is not repeated.

    Args:
        dataset: a name, ``folder:NAME``, ``table:FILE``, ``module:attribute``, or a plugin's class or function itself.
        model: a name, ``timm:NAME``, ``module:attribute``, or a plugin's class or function itself.
        spec: the complete run instead, without any default of the YAML files.
        use: the settings of a suite's recipe instead of the defaults.
        store: a folder for records and boards, or a :class:`Store`; None: the project's.
        force: repeat a run whose record exists.
        settings: any field of :class:`RunSpec` (``task``, ``seed``, ``epochs``, ``lr``, ``dataset_options``, ...),
            ``folds`` and ``fold_by``, and where it is carried out (``data_dir``, ``accelerator``, ``devices``,
            ``workers``, ...). Options are merged with those of the defaults.

    Returns:
        The record: ``metrics``, ``validation_metrics``, ``run_id``, ``spec`` and the rest.

    Raises:
        FerBenchError: an unknown name or setting (with suggestions), a value out of range, missing data, ...

    Example:
        >>> import fer_bench
        >>> faces = {"n_train": 42, "n_validation": 21, "n_test": 28}
        >>> record = fer_bench.run("synthfaces", "five_layer_cnn", epochs=1, batch_size=14, seed=3, accelerator="cpu",
        ...                        dataset_options=faces, model_options={"width": 2})
        run ...
        >>> record.protocol, record.n_scored, sorted(record.predictions)
        ('synthfaces-fer7', 28, ['test', 'validation'])
        >>> fer_bench.run("synthfaces", epoch=1)
        Traceback (most recent call last):
        fer_bench.errors.UnknownNameError: unknown setting 'epoch'. Did you mean 'epochs' or 'ema'?
    """
    named: dict[str, Any] = {key: name_of(settings[key]) for key in ("task", "loss", "augment") if key in settings}
    given = gathered({"dataset": name_of(dataset), "model": name_of(model), **settings, **named})
    begun = None
    if spec is None:
        asked = compose(given, use=use, where=WHERE)
        spec, begun = asked.spec, asked.begun
    elif given or use is not None:
        problem = f"a whole spec was given together with {next(iter(given), 'use')}."
        raise SpecError(problem, "Change the spec instead: spec.model_copy(update={...}).")
    return carry_out(spec, Store.at(store), force=force, begun=begun)


def evaluate(
    run: str | Record,
    on: Any = None,
    *,
    labels: str | os.PathLike[str] | None = None,
    train: bool = False,
    task: str | None = None,
    dataset_options: dict[str, Any] | None = None,
    data_dir: str | None = None,
    accelerator: str = "auto",
    store: StoreLike = None,
) -> Record:
    """Test a trained network on another dataset, or by other labels, or on its own training images; as ``fer-bench
    evaluate``.

    Args:
        run: a record, or a run id (or its beginning).
        on: the dataset to test on; labels are mapped by name.
        labels: instead: a label file that judges the run's stored predictions.
        train: instead: on its own training images, without augmentation; kept in its record.
        task: of the dataset; None: the one that fits.
        dataset_options: of the dataset to test on.
        data_dir: dataset root directory.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        store: as for :func:`run`.

    Returns:
        The record of the test.

    Raises:
        SpecError: not just one of ``on``, ``labels`` and ``train``.
        FerBenchError: no such run or dataset, or its network is not on this machine.
    """
    from fer_bench.leaderboard.render import render_all

    if (on is not None) + (labels is not None) + train != 1:
        problem = "evaluate needs one of on, labels and train."
        raise SpecError(problem, "For example evaluate(run, on='ferplus').")
    place, reference = Store.at(store), run_reference(run)
    execution = build({"execution": {"data_dir": data_dir, "accelerator": accelerator}}, WHERE).execution
    if train:
        from fer_bench.training.train_accuracy import score_on_train

        return score_on_train(place, reference, execution)
    if labels is not None:
        from fer_bench.studies.relabelled import score_relabelled

        record = score_relabelled(place, reference, Path(labels))
    else:
        from fer_bench.training.evaluate import evaluate as test

        dataset = which_ferplus(data_dir) if on == "ferplus" else plugins.reference_of(on)
        record = test(place, reference, dataset, task, execution, dataset_options)
    render_all(place)
    return record
