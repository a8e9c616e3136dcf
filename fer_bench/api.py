"""The public API as functions; :mod:`fer_bench` offers each of them under its own name.

They do what the verbs of ``fer-bench`` do, on the same store, and raise the same errors
(:class:`fer_bench.errors.FerBenchError`), which say what is wrong and what to do next. PyTorch is imported only by
those that need it, when they are called.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_bench import plugins
from fer_bench.apps.runs import carry_out, compose, dataset_here, gathered, which_ferplus
from fer_bench.class_sets import label_set_of, read_classes
from fer_bench.errors import SpecError
from fer_bench.labels import LabelSet
from fer_bench.layering import layered
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol, own_task, own_values
from fer_bench.results.places import folder_name
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec, build
from fer_bench.value_sets import ValueSet, read_values

if TYPE_CHECKING:
    import pandas as pd

    from fer_bench.data.datamodule import AffectDataModule
    from fer_bench.deploy.model import TrainedModel
    from fer_bench.deploy.predict import PredictionRow
    from fer_bench.leaderboard.compare import Comparison
    from fer_bench.leaderboard.differences import VerificationReport

StoreLike = Store | str | os.PathLike[str] | None
# A file of predictions, or its columns: a mapping, or a pandas.DataFrame.
Answered = str | os.PathLike[str] | Mapping[str, Any] | Any
_WHERE = "the arguments"


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
    named: dict[str, Any] = {key: _named(settings[key]) for key in ("task", "loss", "augment") if key in settings}
    given = gathered({"dataset": _named(dataset), "model": _named(model), **settings, **named})
    begun = None
    if spec is None:
        asked = compose(given, use=use, where=_WHERE)
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
    place, reference = Store.at(store), _reference(run)
    execution = build({"execution": {"data_dir": data_dir, "accelerator": accelerator}}, _WHERE).execution
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


def predict(
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    run: str | Record,
    *,
    accelerator: str = "auto",
    store: StoreLike = None,
) -> list[PredictionRow]:
    """Predict image files with a trained network; as ``fer-bench predict``.

    Args:
        images: a file or a folder, or several.
        run: a record, a run id, or an exported file (``.onnx``).
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        store: as for :func:`run`.

    Returns:
        One row per image: ``path``, ``label``, ``names``, ``outputs`` of shape (C,), and ``error`` where it cannot be
        read.

    Raises:
        FerBenchError: no such run or file, or its network is not on this machine.
    """
    from fer_bench.deploy.predict import predict_files

    places = [images] if isinstance(images, str | os.PathLike) else images
    return predict_files(Store.at(store), _reference(run), [Path(place) for place in places], accelerator)


def load_model(run: str | Record, *, accelerator: str = "auto", store: StoreLike = None) -> TrainedModel:
    """Load a trained network, or an ensemble, as an ``nn.Module`` in evaluation mode.

    Args:
        run: a record, or a run id (or its beginning).
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        store: as for :func:`run`.

    Returns:
        A module that takes uint8 images (B, 1 or 3, H, W) and gives probabilities (B, C), or values (B, D) in the
        dataset's units. ``names`` are those of its outputs, ``card`` says how images are prepared, ``network`` gives
        logits.

    Raises:
        FerBenchError: no such run, or its network is not on this machine.

    Example:
        >>> import fer_bench, torch
        >>> record = fer_bench.run("synthfaces", "five_layer_cnn", epochs=1, batch_size=14, seed=3, accelerator="cpu",
        ...                        dataset_options={"n_train": 42, "n_validation": 21, "n_test": 28},
        ...                        model_options={"width": 2})
        run ...
        >>> network = fer_bench.load_model(record, accelerator="cpu")
        >>> network.names[:3], tuple(network(torch.zeros(2, 1, 48, 48, dtype=torch.uint8)).shape)
        (('angry', 'disgust', 'fear'), (2, 7))
    """
    from fer_bench.deploy.model import TrainedModel

    return TrainedModel.load(Store.at(store), _reference(run), accelerator)


def load_dataset(name: Any, task: str | LabelSet | None = None, **settings: Any) -> AffectDataModule:
    """Read a dataset.

    Args:
        name: as for :func:`run`.
        task: whose labels are served; None: the dataset's default.
        settings: as for :func:`run`: ``dataset_options``, ``folds`` and ``fold_by``, ``data_dir``, ``image_size``,
            ``batch_size``, ``augment``, ...

    Returns:
        The datamodule, set up: ``read_samples`` holds ids, images, splits and targets; ``train_dataloader()`` and
        ``predict_loader("test")`` give batches.

    Raises:
        FerBenchError: no such dataset or setting, or its files are not there or damaged.

    Example:
        >>> import fer_bench
        >>> size = {"n_train": 42, "n_validation": 21, "n_test": 28}
        >>> faces = fer_bench.load_dataset("synthfaces", dataset_options=size)
        >>> faces.targets("test").shape, faces.read_samples.images[0].shape
        ((28,), (48, 48))
    """
    from fer_bench.datasets.load import build_datamodule

    given = gathered({"dataset": _named(name), "task": _named(task), **settings})
    given |= dataset_here(given)
    datamodule = build_datamodule(
        build(layered(given), _WHERE), workers=max(int((given.get("execution") or {}).get("workers", 0)), 0)
    )
    datamodule.setup()
    return datamodule


def score(protocol: str | Protocol, predictions: Predictions | str | os.PathLike[str]) -> dict[str, Any]:
    """Score predictions under a protocol; needs no PyTorch.

    Args:
        protocol: itself, or its name, ``<dataset>-<task>``.
        predictions: itself, or the path of a predictions file (``.npz``).

    Returns:
        Metrics, in float64, with intervals, per-class values and the confusion matrix.

    Raises:
        UnknownNameError: no such protocol.
        RecordError: the predictions are damaged, or do not fit the protocol.

    Example:
        >>> import fer_bench, numpy as np
        >>> outputs = np.eye(7, dtype=np.float32)[[0, 2]]
        >>> found = fer_bench.Predictions(ids=np.array(["a", "b"]), targets=np.array([0, 1]), outputs=outputs)
        >>> fer_bench.score("fer2013-fer7", found)["accuracy"]
        0.5
        >>> fer_bench.score("fer2031-fer7", found)
        Traceback (most recent call last):
        fer_bench.errors.UnknownNameError: unknown protocol 'fer2031-fer7'. Did you mean 'fer2013-fer7'...
    """
    from fer_bench.results.protocol import named_protocol
    from fer_bench.scoring.score import score as scored

    judge = named_protocol(protocol, Store())
    found = predictions if isinstance(predictions, Predictions) else Predictions.load(Path(predictions))
    return scored(judge, found)


def submit(
    predictions: Answered | Sequence[Answered],
    protocol: str,
    name: str,
    *,
    reference: str = "",
    trained_on: str | Sequence[str] = (),
    parameters: int | None = None,
    dataset_options: dict[str, Any] | None = None,
    data_dir: str | None = None,
    force: bool = False,
    store: StoreLike = None,
) -> list[Record]:
    """Score predictions of any program, write their records, and render the board; as ``fer-bench submit``. Needs no
    PyTorch.

    Args:
        predictions: a file (``.csv``, ``.parquet``, ``.npz``), a ``pandas.DataFrame``, or columns by name: the ids of
            the images and one column per class, or ``class``, or one per value. Several are several seeds.
        protocol: its name, ``<dataset>-<task>``.
        name: of the model, as the board shows it.
        reference: address of a paper, a repository or a page.
        trained_on: names of the data that it was trained on.
        parameters: how many it has.
        dataset_options: with which the dataset is read.
        data_dir: dataset root directory.
        force: write anew what is said of predictions that are on record already.
        store: as for :func:`run`.

    Returns:
        One record per seed, of kind *external*.

    Raises:
        BadDataError: the predictions do not answer the protocol's questions; names the first row that is wrong.
        FerBenchError: no such protocol, or its targets are not on this machine.

    Example:
        >>> import fer_bench
        >>> asked = fer_bench.template("synthfaces-fer7", dataset_options={"n_train": 42, "n_validation": 21,
        ...                                                               "n_test": 28})
        >>> record, = fer_bench.submit(asked[["id"]].assign(**{"class": "neutral"}), "synthfaces-fer7", "Neutral",
        ...                            dataset_options={"n_train": 42, "n_validation": 21, "n_test": 28})
        >>> record.kind, record.n_scored, round(record.metrics["accuracy"], 4)
        ('external', 28, 0.2857)
    """
    from fer_bench.leaderboard.render import render_all
    from fer_bench.submissions.questions import named
    from fer_bench.submissions.submit import Statement
    from fer_bench.submissions.submit import submit as score_all
    from fer_bench.submissions.tables import table_of

    several = isinstance(predictions, Sequence) and not isinstance(predictions, str)
    given = predictions if isinstance(predictions, Sequence) and several else [predictions]
    files = [Path(one) if isinstance(one, str | os.PathLike) else table_of(one) for one in given]
    listed = (trained_on,) if isinstance(trained_on, str) else tuple(trained_on)
    statement = Statement(name, reference, listed, parameters)
    place = Store.at(store)
    place.borrow(named(place, protocol, data_dir, dataset_options)[0].name)
    done = score_all(place, files, protocol, statement, data_dir=data_dir, options=dataset_options, force=force)
    render_all(place)
    return [one.record for one in done]


def template(
    protocol: str,
    *,
    dataset_options: dict[str, Any] | None = None,
    data_dir: str | None = None,
    store: StoreLike = None,
) -> pd.DataFrame:
    """What :func:`submit` asks of a protocol: the ids of all test images, and an empty column for each class or value.

    Args:
        protocol: its name.
        dataset_options: with which the dataset is read.
        data_dir: dataset root directory.
        store: as for :func:`run`.

    Raises:
        FerBenchError: no such protocol, or neither its dataset nor a record of it is on this machine.
    """
    import pandas as pd

    from fer_bench.submissions.answers import id_column
    from fer_bench.submissions.questions import ask

    questions = ask(Store.at(store), protocol, data_dir, dataset_options)
    columns = {id_column(questions.columns): questions.ids.tolist()}
    return pd.DataFrame({**columns, **dict.fromkeys(questions.columns, float("nan"))})


def images(
    protocol: str,
    folder: str | os.PathLike[str],
    *,
    dataset_options: dict[str, Any] | None = None,
    data_dir: str | None = None,
    store: StoreLike = None,
) -> Path:
    """Write the test images of a protocol as PNG files, with a table of their ids; as ``fer-bench images``.

    Args:
        protocol: its name.
        folder: empty, or not there yet.
        dataset_options: with which the dataset is read.
        data_dir: dataset root directory.
        store: as for :func:`run`.

    Returns:
        The table, ``images.csv``: ``id``, ``file`` (below the folder) and ``sha256`` of the pixels.

    Raises:
        FerBenchError: no such protocol, its images are not on this machine, or the folder has something in it.
    """
    from fer_bench.submissions.questions import ask
    from fer_bench.submissions.template import TABLE, write_images

    write_images(ask(Store.at(store), protocol, data_dir, dataset_options, images=True), Path(folder))
    return Path(folder) / TABLE


def verify(protocols: str | Iterable[str] | None = None, *, store: StoreLike = None) -> VerificationReport:
    """Recompute every stored score from its predictions; needs no PyTorch, and imports no plugin.

    Args:
        protocols: names; None: all.
        store: as for :func:`run`.

    Returns:
        The report: ``differences``, empty if everything agrees, and ``summary()``.

    Raises:
        FerBenchError: no such protocol, or nothing to verify.
    """
    from fer_bench.leaderboard.verify import verify as recompute

    report = recompute(
        Store.at(store), [protocols] if isinstance(protocols, str) else None if protocols is None else list(protocols)
    )
    report.require_any()
    return report


def compare(a: str | Record, b: str | Record, *, given_networks: bool = False, store: StoreLike = None) -> Comparison:
    """Test whether two rows, or two runs, differ on the same test samples: over other samples and over training again.

    Args:
        a: a record, a row's digest, a run id, or the beginning of either.
        b: the other.
        given_networks: test the trained networks as they are, over test samples alone.
        store: as for :func:`run`.

    Returns:
        ``difference``, its 95 % interval (``low``, ``high``), ``p``, ``significant``, and ``text()``.

    Raises:
        RecordError: no such row, or they cannot be compared.
    """
    from fer_bench.leaderboard.compare import compare as compared

    return compared(Store.at(store), _reference(a), _reference(b), given_networks=given_networks)


def leaderboard(protocol: str | Protocol, *, store: StoreLike = None) -> pd.DataFrame:
    """The ranked rows of a protocol, the best first; needs no PyTorch.

    Args:
        protocol: itself, or its name.
        store: as for :func:`run`.

    Returns:
        One ranked row per line: ``rank`` and ``last_rank``, the range that the rank is in (missing for people),
        ``name``, ``model``, ``recipe``, ``kind``, the primary metric under its own name with ``std`` over seeds and the
        95 % interval ``low`` and ``high``, ``seeds``,
        ``p_above``, ``parameters``, ``caveats``, ``copy`` and ``row``.

    Raises:
        UnknownNameError: no such protocol.
        RecordError: a damaged record.

    Example:
        >>> import fer_bench
        >>> list(fer_bench.leaderboard("fer2013-fer7").columns[:6])
        ['rank', 'last_rank', 'name', 'model', 'recipe', 'kind']
    """
    from fer_bench.leaderboard.table import table

    return table(Store.at(store), protocol)


def label_set(classes: Sequence[str] | dict[str, str | None]) -> LabelSet:
    """A custom set of classes; its ``name`` is that of their task, and the key of their column among a dataset's
    targets.

    Args:
        classes: names, or folders mapped to names (None leaves one out). They are kept in alphabetical order:
            ``index(name)`` is a class's number.

    Raises:
        SpecError: fewer than two, or a name that is listed twice.

    Example:
        >>> import fer_bench
        >>> moods = fer_bench.label_set(["tense", "calm"])
        >>> moods.names, moods.index("tense"), moods.name
        (('calm', 'tense'), 1, 'classes2_...')
    """
    return label_set_of(read_classes(classes))


def value_set(
    dimensions: str | Sequence[str], scale: tuple[float, float] = (-1.0, 1.0), primary: str = "ccc"
) -> ValueSet:
    """Values of one's own that are predicted together; its ``name`` is that of their task, and the key of their column,
    float (N, D), among a dataset's targets.

    Args:
        dimensions: names of the D values, in the order of the columns.
        scale: (low, high) of all of them, in the dataset's units; networks and losses see them from -1 to 1.
        primary: the metric that ranks and that chooses the epoch, ``ccc`` or ``rmse``.

    Raises:
        SpecError: a name that cannot be one, or no such scale or metric.

    Example:
        >>> import fer_bench
        >>> pain = fer_bench.value_set("pain", scale=(0, 16))
        >>> pain.names, pain.scale, pain.name
        (('pain',), (0.0, 16.0), 'values1_...')
    """
    return read_values(dimensions, scale, primary)


def _named(thing: Any) -> Any:
    """A plugin's class or function by its reference, classes and values by the name of their task; anything else as it
    is.
    """
    if isinstance(thing, ValueSet):
        return own_values(thing).name
    if isinstance(thing, LabelSet):
        return own_task(thing).name
    return plugins.reference_of(thing) if callable(thing) else thing


def _reference(run: str | Record) -> str:
    return f"{run.protocol}/{folder_name(run.model)}/{run.run_id}" if isinstance(run, Record) else str(run)
