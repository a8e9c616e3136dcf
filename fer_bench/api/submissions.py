"""The way in for networks that were trained elsewhere: images, ids, and predictions to be scored."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_bench.api.arguments import Answered, StoreLike, name_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store

if TYPE_CHECKING:
    import pandas as pd


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
    statement = Statement(name, reference, _listed(trained_on), parameters)
    place = Store.at(store)
    place.borrow(named(place, protocol, data_dir, dataset_options)[0].name)
    done = score_all(place, files, protocol, statement, data_dir=data_dir, options=dataset_options, force=force)
    render_all(place)
    return [one.record for one in done]


def evaluate_model(
    model: str | Callable[..., Any],
    dataset: str,
    *,
    labels: Sequence[str] = (),
    image_size: int | None = None,
    normalization: str = "",
    task: str | None = None,
    name: str = "",
    reference: str = "",
    trained_on: str | Sequence[str] = (),
    dataset_options: dict[str, Any] | None = None,
    data_dir: str | None = None,
    accelerator: str = "auto",
    force: bool = False,
    store: StoreLike = None,
) -> Record:
    """Test a model of another program on the test split of a dataset, and render the board; as ``fer-bench evaluate
    --model``.

    Args:
        model: ``onnx:FILE``, ``hf:ORG/NAME``, ``hf:FOLDER``, ``python:MODULE:FUNCTION``, or a function of a module:
            from a list of images, each uint8 (H, W) or (H, W, 3) RGB, to probabilities or values (N, C).
        dataset: its name.
        labels: names of the outputs, in their order, where the model does not say them; mapped by name.
        image_size: side of its images in pixels, where it takes any.
        normalization: of an ONNX file of real numbers: ``raw``, ``unit``, ``symmetric`` or ``imagenet``.
        task: of the dataset; None: the one that fits.
        name: of the model, as the board shows it; empty: its own.
        reference: address of a paper, a repository or a page.
        trained_on: names of the data that it was trained on.
        dataset_options: with which the dataset is read.
        data_dir: dataset root directory.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        force: test again what is on record.
        store: as for :func:`run`.

    Returns:
        A record of kind *external*.

    Raises:
        FerBenchError: the model or the dataset is not here, or one cannot answer the other.
    """
    from fer_bench.deploy.outside.evaluate import evaluate_outside
    from fer_bench.deploy.outside.model import Feeding
    from fer_bench.leaderboard.render import render_all

    place = Store.at(store)
    done = evaluate_outside(
        place,
        model if isinstance(model, str) else f"python:{name_of(model)}",
        dataset,
        Feeding(tuple(labels), image_size, normalization, accelerator),
        task=task,
        name=name,
        address=reference,
        trained_on=_listed(trained_on),
        data_dir=data_dir,
        options=dataset_options,
        force=force,
    )
    render_all(place)
    return done.record


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


def _listed(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
