"""A finished training, brought back: from a run's reference to a network that predicts."""

from __future__ import annotations

from dataclasses import dataclass

from fer_bench.errors import WeightsError
from fer_bench.protocols import Protocol, protocol_for
from fer_bench.results.begin import run_folder
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import Execution, RunSpec, build
from fer_bench.tasks.base import AffectTask
from fer_bench.training.assemble import build_task, load_weights


@dataclass(frozen=True)
class Trained:
    """A trained network and where it comes from.

    Args:
        record: of the run.
        spec: of the run.
        protocol: by which it was judged.
        task: with the best epoch's weights, in evaluation mode.
        native_size: side of the images that it was trained on, in pixels.
    """

    record: Record
    spec: RunSpec
    protocol: Protocol
    task: AffectTask
    native_size: int


def load_run(store: Store, reference: str, execution: Execution | None = None) -> Trained:
    """Bring a trained network back.

    Args:
        store: where its record lies.
        reference: run id, or whatever :meth:`Store.get` takes.
        execution: where data and device are, for what follows.

    Raises:
        RecordError: no such record.
        WeightsError: its checkpoint is not on this machine.
    """
    record = store.get(reference)
    if record.kind != "trained" or not record.spec:
        problem = f"run {record.run_id} is of kind {record.kind!r}: it has no network of its own."
        raise WeightsError(problem, "Choose a run of kind 'trained'.")
    if folds := record.data.get("folds"):
        problem = f"run {record.run_id} is a cross-validation: it has {len(folds)} networks, one per fold."
        raise WeightsError(problem, f"Choose one of its folds: {', '.join(folds)}.")
    spec = build({**record.spec, "execution": execution or Execution()}, f"the record of {record.run_id}")
    best = run_folder(spec, record.run_id) / f"{spec.snapshot}.ckpt"
    if not best.is_file():
        problem = f"the checkpoint of run {record.run_id} is not at {best}."
        raise WeightsError(problem, "Checkpoints are not part of the repository: copy it there, set FER_BENCH_RUNS, or repeat the run with --force.")
    protocol = protocol_for(spec.dataset, spec.task, spec.folding.by if spec.folding else "")
    native = int(record.data.get("image_size") or spec.image_size or 48)
    task = build_task(spec, protocol, native_size=native, pretrained=False)
    load_weights(task, best)
    return Trained(record, spec, protocol, task.eval(), native)
