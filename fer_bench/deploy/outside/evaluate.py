"""A model from outside, tested on a dataset: its outputs are mapped to the dataset's classes by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_bench.class_sets import fault, label_set_of, same_classes
from fer_bench.deploy.outside.model import Feeding, Images, Outputs, OutsideModel, open_model
from fer_bench.errors import BadDataError, SpecError
from fer_bench.labels import LabelSet, plain
from fer_bench.layering import default_task
from fer_bench.own_data import BROUGHT
from fer_bench.protocols import VIA, find_task, own_task
from fer_bench.results.store import Store
from fer_bench.submissions.answers import SUM_TOLERANCE, far_outside
from fer_bench.submissions.questions import Questions, ask, named
from fer_bench.submissions.submit import Statement, Submitted, judge_outputs, put

BATCH = 64


def evaluate_outside(
    store: Store,
    reference: str,
    dataset: str,
    feeding: Feeding,
    *,
    task: str | None = None,
    name: str = "",
    address: str = "",
    trained_on: tuple[str, ...] = (),
    data_dir: str | None = None,
    options: dict[str, Any] | None = None,
    batch_size: int = BATCH,
    force: bool = False,
) -> Submitted:
    """Test a model from outside on the test split of a dataset, and write a record of kind *external*.

    A model with just the classes of the dataset's task, in whatever order and spelling, has a row on its board. Any
    other is judged by the classes that both have, on a board of its label set.

    Args:
        store: where the record goes.
        reference: see :func:`fer_bench.deploy.outside.model.open_model`.
        dataset: its name.
        feeding: how the model is fed, where it does not say it.
        task: of the dataset; None: the one that fits.
        name: of the model, as the board shows it; empty: its own.
        address: of a paper, a repository or a page, as the user says it.
        trained_on: names of the data that it was trained on, as the user says them.
        data_dir: where the dataset is.
        options: of the dataset.
        batch_size: images at a time.
        force: test again where the same model is on record.

    Raises:
        SpecError: fewer than two of its classes are the dataset's, or the model does not say what is needed.
        BadDataError: its outputs are no probabilities or values.
        FerBenchError: it or the dataset is not here, or not usable.
    """
    model = open_model(reference, feeding)
    protocol = _protocol_name(store, model, dataset, task, data_dir, options)
    store.borrow(named(store, protocol, data_dir, options)[0].name)
    questions = ask(store, protocol, data_dir, options, images=True)
    columns = _columns(model, questions)
    assert questions.images is not None
    found: list[Outputs] = []
    for start in range(0, len(questions.ids), batch_size):
        rows = range(start, min(start + batch_size, len(questions.ids)))
        images: Images = [np.asarray(questions.images[i]) for i in rows]
        found.append(model.predict(images))
    what = "values" if questions.asked is None else "probabilities"
    scale = questions.protocol.scale if questions.asked is None else None
    outputs, how = _checked(np.concatenate(found), reference, scale)
    kind = reference.partition(":")[0]
    statement = Statement(
        name or model.name,
        address,
        trained_on,
        model.parameters,
        {"model": kind, **model.facts, "labels": list(model.labels), "outputs": how},
    )
    (done,) = put(store, [judge_outputs(questions, outputs[:, columns], what, statement)], force=force)
    return done


def _protocol_name(
    store: Store,
    model: OutsideModel,
    dataset: str,
    task: str | None,
    data_dir: str | None,
    options: dict[str, Any] | None,
) -> str:
    """The protocol that judges the outputs of a model."""
    values = next((one for one in ("va", "valence", "arousal") if _is_of(model, find_task(one).dimensions)), None)
    source = None if values else _label_set(model)
    own = values if source is None else source.name
    brought = dataset.startswith(BROUGHT)
    if task is None and brought and "classes" in (options or {}):
        target = dataset
    else:
        target = f"{dataset}-{task or default_task(dataset, str(own))}"
    protocol = named(store, target, data_dir, options)[0]
    labels = protocol.task.labels
    if (labels is None) != (source is None):
        problem = f"the model gives {', '.join(model.labels[:8])}, which cannot be scored as {protocol.task.name}."
        raise SpecError(problem, "Choose another dataset or --task, or name its outputs with --labels.")
    if labels is None or source is None or same_classes(labels, source.names):
        return target
    return f"{target}{VIA}{source.name}"


def _is_of(model: OutsideModel, dimensions: tuple[str, ...]) -> bool:
    return sorted(map(plain, model.labels)) == sorted(dimensions)


def _label_set(model: OutsideModel) -> LabelSet:
    """The label set of a model: a built-in one where it has its classes, else one of its own."""
    names = [plain(label) for label in model.labels]
    wrong = next((name for name in names if fault(name)), None)
    twice = next((name for name in names if names.count(name) > 1), None)
    if wrong is not None or twice is not None or len(names) < 2:
        what = (
            f"{wrong!r} {fault(wrong)}" if wrong is not None else f"{twice!r} is there twice" if twice else "one output"
        )
        problem = f"the outputs of the model: {what}."
        raise SpecError(problem, "Name each of them, in their order: --labels angry,disgust,fear,...")
    found = label_set_of({name: name for name in names})
    own_task(found)
    return found


def _columns(model: OutsideModel, questions: Questions) -> list[int]:
    """The output of the model for each column that is asked for."""
    given = [plain(label) for label in model.labels]
    if questions.asked is None:
        return [given.index(name) for name in questions.columns]
    at = [questions.asked.index(name) for name in given]
    return [at.index(i) for i in range(len(questions.columns))]


def _checked(outputs: Outputs, reference: str, scale: tuple[float, float] | None) -> tuple[Outputs, str]:
    """Outputs as they are, where they are probabilities or (with a scale) values; of logits, their softmax. And which
    it was.
    """
    if not np.isfinite(outputs).all():
        i = int((~np.isfinite(outputs).all(axis=1)).argmax())
        problem = f"{reference}: it answers image {i + 1} with {outputs[i].tolist()}."
        raise BadDataError(problem, "Check how the model is fed (--normalization, --image-size).")
    if scale is not None:
        if (wrong := far_outside(outputs, scale)).any():
            i = int(wrong.argmax())
            problem = f"{reference}: it answers image {i + 1} with {outputs[i].tolist()}, far outside the scale."
            raise BadDataError(problem, f"Values of this dataset are from {scale[0]:g} to {scale[1]:g}.")
        return outputs, "as they are"
    total = outputs.sum(axis=1, dtype=np.float64)
    if (outputs >= 0).all() and (np.abs(total - 1) <= SUM_TOLERANCE).all():
        return outputs, "as they are"
    # Per cent and sigmoids are no logits: a softmax of them would be another distribution.
    percent = (outputs >= 0).all() and (np.abs(total - 100) <= 100 * SUM_TOLERANCE).all()
    if reference.startswith("python:") or percent or ((outputs >= 0) & (outputs <= 1)).all():
        i = int((np.abs(total - 1) > SUM_TOLERANCE).argmax())
        what = f"{outputs[i].min():.4g} to {outputs[i].max():.4g}, which sum to {total[i]:.4g}"
        problem = f"{reference}: it answers image {i + 1} with {what}: no probabilities."
        raise BadDataError(problem, "A softmax makes probabilities of scores; it must be part of the model.")
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True), dtype=np.float64)
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32), "softmax"
