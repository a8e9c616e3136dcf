"""Loading a finished training: from a run's reference to a network that predicts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_bench.ensembles.members import name_of
from fer_bench.models.trained import checkpoint_of, load_recorded, native_size, recall, spec_of
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import Execution, RunSpec
from fer_bench.tasks.base import AffectTask
from fer_bench.tasks.ensemble import EnsembleTask, Member, View
from fer_bench.training.build import build_task
from fer_bench.training.inference import fixed_views, random_views


@dataclass(frozen=True)
class Trained:
    """A trained network and where it comes from.

    Args:
        record: of the run.
        spec: of the run.
        protocol: under which it was scored.
        task: with the best epoch's weights, in evaluation mode.
        native_size: side of the images that it was trained on, in pixels.
    """

    record: Record
    spec: RunSpec
    protocol: Protocol
    task: AffectTask
    native_size: int


def load_run(store: Store, reference: str, execution: Execution | None = None) -> Trained:
    """Load a trained network.

    Args:
        store: where its record is.
        reference: run id, as for :meth:`Store.get`.
        execution: dataset root directory and device, for later use.

    Raises:
        RecordError: no such record.
        WeightsError: its checkpoint is not on this machine.
    """
    return load_record(store.get(reference), execution)


def load_record(record: Record, execution: Execution | None = None, checkpoint: Path | None = None) -> Trained:
    """As :func:`load_run`, of a record, whose weights may be in a file that is named."""
    spec = spec_of(record, execution)
    checkpoint = checkpoint or checkpoint_of(record, spec)
    recall(record)
    protocol, native = spec.judge, native_size(record, spec)
    task = build_task(spec, protocol, native_size=native, pretrained=False)
    load_recorded(task, task.network, record, checkpoint)
    return Trained(record, spec, protocol, task.eval(), native)


def with_views(trained: Trained) -> AffectTask | EnsembleTask:
    """The module that predicts as a run's row does: its network, averaged over the views of its test-time augmentation
    if any.
    """
    if not trained.spec.tta:
        return trained.task
    return EnsembleTask(
        [trained.task], [Member(name_of(trained.record), 0, views_of(trained.spec))], lambda outputs: outputs[0]
    )


def views_of(spec: RunSpec) -> list[View]:
    """How a run's network is shown an image: its test-time augmentation, or the image alone."""
    if spec.tta and spec.tta_kind == "random":
        return list(random_views(spec))
    return [lambda images, first, change=change: change(images) for change in fixed_views(spec)]  # type: ignore[misc]
