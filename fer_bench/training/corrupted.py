"""A trained network on corrupted images of its own test split: how its score drops on blurred, noisy or occluded
faces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fer_bench.data.corruptions import COVERS, CorruptedImages
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.provenance import data_facts
from fer_bench.data.samples import Samples
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import RecordError
from fer_bench.faces.layout import find_parts
from fer_bench.predictions import Predictions
from fer_bench.protocols import info_of
from fer_bench.results import provenance
from fer_bench.results.copies import checksums_of
from fer_bench.results.corruptions import N_STRENGTHS, TITLES, Corrupted, made_with, pack, unpack
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.classification import predicted_classes
from fer_bench.scoring.corrupted import score_corrupted
from fer_bench.spec import Execution
from fer_bench.training import hardware
from fer_bench.training.hardware import Device
from fer_bench.training.inference import predict
from fer_bench.training.loading import Trained, load_record

_SCENE = "these are scenes, not faces"


def measure(
    store: Store, record: Record, execution: Execution | None = None, say: Callable[[str], None] = lambda line: None
) -> Corrupted:
    """Test a network on every corruption at every strength, as its row was tested, test-time augmentation included.

    Images are corrupted at the dataset's native size, then resized to the size at which the network was trained:
    networks of other sizes see the same faces.

    Args:
        store: where the record's predictions are.
        record: of the run.
        execution: dataset root directory and hardware.
        say: called with each corruption when it is done.

    Returns:
        The scores, not yet written.

    Raises:
        WeightsError: the record has no single network, or its checkpoint is not on this machine.
        RecordError: the test images here differ from those it was tested on.
    """
    if record.status != "finished":
        problem = f"run {record.run_id} has the status {record.status}: there is no score that corruption could change."
        raise RecordError(problem, record.message)
    trained = load_record(record, execution)
    device = hardware.resolve(trained.spec)
    datamodule = build_datamodule(
        trained.spec.model_copy(update={"image_size": None, "labels": ""}), workers=device.workers
    )
    datamodule.setup()
    clean = store.predictions(record)
    _require_same(record, clean, datamodule, trained)
    test = datamodule.read_samples.select(datamodule.read_samples.split == "test")
    values = trained.protocol.task.labels is None
    left_out, faces, boxes = {}, {}, None
    if info_of(trained.spec.dataset).picture != "face":
        left_out = dict.fromkeys(COVERS, _SCENE)
    else:
        parts = find_parts(test, trained.spec.dataset, trained.spec.dataset_options, trained.spec.execution.data_dir)
        faces, boxes = parts.facts, parts.boxes
    packed, answers = {}, {}
    for number, name in enumerate(names := [name for name in TITLES if name not in left_out], start=1):
        found = []
        for strength in range(1, N_STRENGTHS + 1):
            images = CorruptedImages(test.images, test.ids, name, strength, boxes, _shape(record, test))
            outputs = _predict(trained, datamodule, replace(test, images=images), device)
            found.append(outputs if values else predicted_classes(outputs))
        packed[name] = pack(np.stack(found))
        # Scores are computed from the stored values.
        answers[name] = unpack(packed[name], len(clean), clean.outputs.shape[1] if values else 0)
        say(f"{number}/{len(names)} {TITLES[name]}")
    scores = score_corrupted(trained.protocol, clean, answers)
    described = provenance.machine() | {"accelerator": device.accelerator, "precision": device.precision}
    return Corrupted(
        run_id=record.run_id,
        protocol=record.protocol,
        model=record.model,
        of=made_with(record),
        **scores,
        faces=faces,
        left_out=left_out,
        code=provenance.code(),
        hardware=described,
        created=provenance.now(),
        answers=packed,
    )


def _predict(
    trained: Trained, datamodule: AffectDataModule, samples: Samples, device: Device
) -> npt.NDArray[np.float32]:
    datamodule.samples = samples
    return predict(trained.task, datamodule, "test", device, trained.spec).outputs


def _shape(record: Record, test: Samples) -> tuple[int, int] | None:
    """Height and width of the images that the network was tested on; None where the dataset gives them so."""
    stated = record.data.get("image_shape") or [record.data.get("image_size")] * 2
    if not all(isinstance(side, int) and side > 0 for side in stated[:2]):
        return None
    shape = (int(stated[0]), int(stated[1]))
    return None if tuple(test.images[0].shape[:2]) == shape else shape


def _require_same(record: Record, clean: Predictions, datamodule: AffectDataModule, trained: Trained) -> None:
    """Reject other test images, or another order of them.

    Raises:
        RecordError: they differ.
    """
    facts = data_facts(datamodule, trained.protocol)
    whole = (facts.get("fold") or {}).get("copy")
    found, stated = whole or facts["checksums"].get("test"), checksums_of(record).get("test")
    targets = datamodule.targets("test")
    if found != stated or targets.shape != clean.targets.shape or not np.array_equal(targets, clean.targets):
        problem = (
            f"run {record.run_id} was tested on other images than those of this machine (checksum {stated}, here"
            f" {found})."
        )
        raise RecordError(problem, "Give the folder of the copy that it was tested on with --data-dir.")
