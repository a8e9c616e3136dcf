"""A model from outside, tested on a dataset: its outputs are mapped to the dataset's classes, categories or values by
name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_bench.class_sets import fault, label_set_of, same_classes
from fer_bench.deploy.model_card import Card
from fer_bench.deploy.outside.checked import as_answers
from fer_bench.deploy.outside.model import Feeding, Images, Outputs, OutsideModel, open_model
from fer_bench.errors import RecordError, SpecError
from fer_bench.labels import LabelSet, plain
from fer_bench.layering import default_task
from fer_bench.own_data import BROUGHT
from fer_bench.protocols import TASKS, VIA, Protocol, dataset_name, own_task
from fer_bench.results.inputs import data_inputs
from fer_bench.results.lineage import lineage, require_unseen
from fer_bench.results.store import Store
from fer_bench.submissions.caveats import NOTHING, SEEN
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
    other is judged by the classes that both have, on a board of its label set. Tasks of values and of several labels
    need an output for each of theirs; further ones are left out.

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
    outputs, how = as_answers(np.concatenate(found), reference, questions.protocol)
    what = "values" if questions.protocol.task.kind == "values" else "probabilities"
    kind = reference.partition(":")[0]
    card: Card | None = getattr(model, "card", None)
    if card is not None:
        others = (name for name in trained_on if plain(name) not in (NOTHING, plain(dataset_name(card.dataset))))
        trained_on = (dataset_name(card.dataset), *others)
    statement = Statement(
        name or model.name,
        address,
        trained_on,
        model.parameters,
        {"model": kind, **model.facts, "labels": list(model.labels), "outputs": how},
        () if card is None or _is_known_to_be_unseen(card, store, questions) else (SEEN,),
    )
    (done,) = put(store, [judge_outputs(questions, outputs[:, columns], what, statement)], force=force)
    return done


def _is_known_to_be_unseen(card: Card, store: Store, questions: Questions) -> bool:
    """Whether the run that was exported is on record, and neither it nor a network behind it was trained on what is
    asked here.
    """
    try:
        run = store.get(card.run_id)
        inputs = None if questions.data.get("tested") else data_inputs(questions.data)
        require_unseen(lineage([run], store), questions.dataset, questions.options, inputs)
    except (RecordError, SpecError):
        return False
    return bool(run.training.get("weights_sha256", "") == card.weights_sha256)


def _protocol_name(
    store: Store,
    model: OutsideModel,
    dataset: str,
    task: str | None,
    data_dir: str | None,
    options: dict[str, Any] | None,
) -> str:
    """The protocol that judges the outputs of a model."""
    named_alike = (one for one in TASKS.in_order() if one.labels is None and _is_of(model, one.dimensions))
    own = next((one.name for one in named_alike), None)
    source = None
    if own is None and not _asks_several(dataset, task):
        source = _label_set(model)
        own = source.name
    brought = dataset.startswith(BROUGHT)
    if task is None and brought and "classes" in (options or {}):
        target = dataset
    else:
        target = f"{dataset}-{task or default_task(dataset, str(own))}"
    protocol = named(store, target, data_dir, options)[0]
    labels = protocol.task.labels
    given = [plain(label) for label in model.labels]
    if (labels is None) != (source is None) or any(given.count(name) != 1 for name in protocol.task.dimensions):
        raise SpecError(*_unfit(given, protocol))
    if labels is None or source is None or same_classes(labels, source.names):
        return target
    return f"{target}{VIA}{source.name}"


def _asks_several(dataset: str, task: str | None) -> bool:
    name = task or default_task(dataset, "")
    return name in TASKS and TASKS[name].kind == "labels"


def _unfit(given: list[str], protocol: Protocol) -> tuple[str, str]:
    """Why outputs of these names cannot be scored under a protocol, and what to do."""
    task = protocol.task
    if task.kind == "labels":
        wanted = [name for name in task.dimensions if given.count(name) != 1]
        called = "twice" if wanted[0] in given else "not among the model's outputs"
        more = f" ({len(wanted) - 1} more such names)" if wanted[1:] else ""
        return (
            f"{protocol.name} asks for {len(task.dimensions)} categories, and {wanted[0]!r} is {called}{more}.",
            f"Name the outputs in their order: --labels {','.join(task.dimensions[:3])},...",
        )
    return (
        f"the model gives {', '.join(given[:8])}, which cannot be scored as {task.name}.",
        "Choose another dataset or --task, or name its outputs with --labels.",
    )


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
