"""Teachers of a distillation: which trained runs may teach, and their outputs on the training images.

A teacher is scored under the same protocol and was trained on the same copy of the data, so that it has seen none of
the student's validation and test images. Its outputs are computed once for each training image and its mirror image,
without augmentation, and kept in the cache, so that a student costs no more than any other run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import BadDataError, RecordError, SpecError, WeightsError
from fer_bench.protocols import Protocol
from fer_bench.results.inputs import TEACHER, Inputs, of_training, on_same_data
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.tasks.base import autocast
from fer_bench.tasks.distilling import METHOD, VOTES, Distilling
from fer_bench.training.hardware import Device
from fer_bench.training.loading import load_record
from fer_bench.training.votes import Votes

_WHERE = "method_options.teachers: "


def find_teachers(spec: RunSpec, store: Store, gone: list[RecordError] | None = None) -> list[Record]:
    """The records of a run's teachers that are networks; none where it does not distil.

    Args:
        spec: the run.
        store: where the records are.
        gone: is given the errors of teachers without a record, which are then passed over: a run that is done needs
            none; None: they are raised.

    Raises:
        RecordError: no such run.
        SpecError: one that cannot teach this run, with the reason.
    """
    if spec.method != METHOD:
        return []
    found = []
    for run_id in Distilling.of(spec).teachers:
        if run_id == VOTES:
            continue
        try:
            record = store.get(run_id)
        except RecordError as error:
            missing = RecordError(_WHERE + error.problem, error.hint)
            if gone is None:
                raise missing from None
            gone.append(missing)
            continue
        if record.run_id != run_id:
            problem = f"{_WHERE}{run_id!r} is not a whole run id."
            raise SpecError(problem, f"Did you mean {record.run_id}?")
        if why := _unfit(record, spec.judge):
            problem = f"{_WHERE}run {run_id} {why[0]}."
            raise SpecError(problem, why[1])
        found.append(record)
    return found


def _unfit(record: Record, protocol: Protocol) -> tuple[str, str] | None:
    """Why a run cannot teach, and what to do."""
    trained = "Choose a run of kind 'trained'."
    if record.kind == "ensemble":
        members = ", ".join(dict.fromkeys(str(member["run_id"]) for member in record.training["members"]))
        return "is an ensemble, not a single network", f"Name its members as teachers: [{members}]."
    if record.kind != "trained":
        return f"is of kind {record.kind!r}: it has no trained network", trained
    if folds := record.data.get("folds"):
        return (
            f"is a cross-validation: it has {len(folds)} networks, one per fold",
            "Choose a run on the dataset's own splits.",
        )
    if record.spec.get("temporal", "none") != "none":
        return "is a temporal model: it answers clips, not single images", "Choose a run with temporal=none."
    if record.status != "finished":
        return f"has not been finished (status {record.status})", "Choose another, or repeat it."
    if record.task != protocol.task.name:
        return (
            f"has other classes: its task is {record.task}, this run's is {protocol.task.name}",
            f"Choose a run of {protocol.name}.",
        )
    if record.protocol != protocol.name:
        return (
            f"is judged by {record.protocol}, this run by {protocol.name}: it may have seen faces of this run's test",
            f"Choose a run of {protocol.name}.",
        )
    if not record.training.get("weights_sha256"):
        return "does not say which weights it ended with: its record is of an older version", "Repeat it with --force."
    return None


def teachers_inputs(teachers: Sequence[Record], votes: Votes | None = None) -> Inputs:
    """The teachers' part of a fingerprint: the digest of their weights by run id, and that of votes."""
    networks = {TEACHER + record.run_id: str(record.training["weights_sha256"])[:16] for record in teachers}
    return networks | ({} if votes is None else {TEACHER + VOTES: votes.digest})


def require_same_data(teachers: Sequence[Record], inputs: Mapping[str, str]) -> None:
    """Reject a teacher that was trained on other images than the student will be.

    Raises:
        SpecError: names the teacher.
    """
    for record in teachers:
        if not on_same_data(record, inputs):
            problem = (
                f"{_WHERE}run {record.run_id} was trained on another copy or fold of the data: it may have seen faces"
                " of this run's validation and test."
            )
            raise SpecError(problem, "Train the teacher on the data that are here now, with the same dataset_options.")


def teachers_facts(teachers: Sequence[Record], protocol: Protocol, votes: Votes | None = None) -> list[dict[str, Any]]:
    """Facts about the teachers, for the record of a student."""
    networks: list[dict[str, Any]] = [
        {
            "run_id": record.run_id,
            "model": record.model,
            "recipe": record.recipe,
            "weights_sha256": record.training["weights_sha256"],
            f"validation_{protocol.primary}": record.validation_metrics.get(protocol.primary),
            f"test_{protocol.primary}": record.metrics.get(protocol.primary),
        }
        for record in teachers
    ]
    return networks + (
        [] if votes is None else [{"votes": VOTES, "digest": votes.digest, "n_train_without": votes.unnamed}]
    )


def teach(
    spec: RunSpec,
    teachers: Sequence[Record],
    datamodule: AffectDataModule,
    device: Device,
    inputs: Mapping[str, str],
    votes: Votes | None = None,
) -> torch.Tensor | None:
    """Outputs of the teachers on the training images.

    Args:
        spec: of the student.
        teachers: as :func:`find_teachers` returns them.
        datamodule: of the student.
        device: that computes.
        inputs: fingerprint of the student.
        votes: count as one more teacher.

    Returns:
        (N, C), float32: probabilities at the student's temperature, the mean over teachers and over each image and its
        mirror image; None without teachers.

    Raises:
        WeightsError: a teacher's checkpoint is not on this machine, or not the recorded one.
    """
    if not teachers and votes is None:
        return None
    temperature = Distilling.of(spec).temperature
    views = [torch.from_numpy(np.array(_answers(spec, record, datamodule, device, inputs))) for record in teachers]
    answers = [(logits.double() / temperature).softmax(dim=2).mean(dim=0) for logits in views]
    if votes is not None:
        answers.append(torch.from_numpy(votes.softened(temperature)))
    return torch.stack(answers).mean(dim=0).float()


def _answers(
    spec: RunSpec, record: Record, datamodule: AffectDataModule, device: Device, inputs: Mapping[str, str]
) -> npt.NDArray[np.float32]:
    """One teacher's logits, (2, N, C)."""
    data = {name: value for name, value in of_training(inputs).items() if not name.startswith(TEACHER)}
    identity = [
        1,
        record.run_id,
        record.training["weights_sha256"],
        data,
        spec.labels,
        device.accelerator,
        device.precision,
    ]
    key = cache.text_sha256(json.dumps(identity, sort_keys=True))
    arrays, _ = cache.cached("teachers", key, lambda: ({"logits": _ask(spec, record, datamodule, device)}, {}))
    return arrays["logits"]


def _ask(spec: RunSpec, record: Record, datamodule: AffectDataModule, device: Device) -> npt.NDArray[np.float32]:
    try:
        trained = load_record(record, spec.execution)
    except WeightsError as error:
        raise WeightsError(_WHERE + error.problem, error.hint) from None
    # Its own way to read the images; the student's labels, which decide which images are there.
    own = build_datamodule(trained.spec.model_copy(update={"labels": spec.labels}), workers=device.workers)
    ids, wanted = (data.read_samples.ids[data.read_samples.where("train")] for data in (own, datamodule))
    if not np.array_equal(ids, wanted):
        problem = f"{_WHERE}run {record.run_id} reads other training images than this run, or in another order."
        raise BadDataError(problem, "Give the student the dataset_options of its teacher.")
    print(
        f"teacher {record.run_id} ({record.model}) answers {len(wanted)} training images, once for all students",
        flush=True,
    )
    task = trained.task.to(device.device).eval()
    parts = []
    with torch.inference_mode(), autocast(device.accelerator, device.precision):
        for batch in own.predict_loader("train"):
            images = batch["image"].to(device.device)
            parts.append(torch.stack([task(view).float().cpu() for view in (images, images.flip(3))]))
    return torch.cat(parts, dim=1).numpy()
