"""A trained network on the images it was trained on: the gap between training and test."""

from __future__ import annotations

from fer_bench.data.provenance import data_facts
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import RecordError, SpecError
from fer_bench.results.inputs import data_inputs
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.record import scored_on_train
from fer_bench.spec import Execution
from fer_bench.training import hardware
from fer_bench.training.inference import predict
from fer_bench.training.loading import load_run


def score_on_train(store: Store, reference: str, execution: Execution | None = None) -> Record:
    """Score a run on its training split as on the test: no augmentation, no dropout, the epoch that was kept.

    The accuracy printed during training is of augmented images and of a network with dropout that changes while it is
    measured, so its distance from the test says little about overfitting. The result is stored as ``training.on_train``
    of the record: ``n``, ``accuracy``, and ``outcomes``, one bit per training sample in the order of the split, from
    which ``fer-bench verify`` recomputes the accuracy, as it does the scores of the classes from ``confusion``. A head
    of a probe has it from when it was trained. Of values it holds ``ccc``, the mean over dimensions, and
    ``sums``, of shape (D, 7) as in :mod:`fer_bench.scoring.moments`, from which the CCC follows.

    Args:
        store: where the record is.
        reference: the run, as :meth:`Store.get` takes it.
        execution: dataset root directory and hardware.

    Returns:
        The record as written.

    Raises:
        WeightsError: its checkpoint is not on this machine.
        RecordError: the data differ from those that it was trained on, or it is a head of an older version.
        SpecError: a task of several labels, whose average precision follows from nothing short of all predictions.
    """
    head = store.get(reference)
    if head.kind == "probe":
        if "on_train" in head.training:
            return head
        problem = f"{head.run_id} is a head whose record, of an older version, has no scores of its training split."
        raise RecordError(problem, "Repeat its grid with --force: heads are scored on it when they are trained.")
    trained = load_run(store, reference, execution)
    if trained.protocol.task.kind == "labels":
        problem = f"run {trained.record.run_id} predicts several labels, whose score on training images is not kept."
        raise SpecError(problem, "Its learning curves say how its loss on train and on validation differ.")
    device = hardware.resolve(trained.spec)
    datamodule = build_datamodule(trained.spec, workers=device.workers)
    datamodule.setup()
    facts, record = data_facts(datamodule, trained.protocol), trained.record
    found, stated = (known.get("checksums", {}).get("train") for known in (facts, record.data))
    # Renamed identities are assigned to folds differently, from the same images.
    dealt_otherwise = bool(record.inputs) and data_inputs(facts).get("folds") != record.inputs.get("folds")
    if found == stated and dealt_otherwise:
        problem = (
            f"run {record.run_id} was trained on other images of this copy than its fold has now: who is kept together"
            " has changed."
        )
        raise RecordError(problem, "Give the names back that the files had, or train on the folds as they are now.")
    if found != stated:
        problem = (
            f"run {trained.record.run_id} was trained on other images than those of this machine (checksum {stated},"
            f" here {found})."
        )
        raise RecordError(problem, "Give the folder of the copy that it was trained on with --data-dir.")
    predictions = predict(trained.task, datamodule, "train", device, trained.spec)
    on_train = scored_on_train(trained.protocol, predictions)
    return store.amend(trained.record.model_copy(update={"training": trained.record.training | {"on_train": on_train}}))
