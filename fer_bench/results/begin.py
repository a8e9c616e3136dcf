"""What a run's record and folder are called, decided in one place for every module that trains or looks for what was
trained.
"""

from __future__ import annotations

from pathlib import Path

from fer_bench import paths
from fer_bench.protocols import Protocol
from fer_bench.results import provenance
from fer_bench.results.inputs import Inputs, recorded_folder, training_folder
from fer_bench.results.record import Record
from fer_bench.results.remote import remote_run
from fer_bench.spec import RunSpec

# Of a cross-validation whose settings were chosen by `fer-bench tune`: every sample is tested in some fold.
TUNED_ON_FOLDS = "settings chosen on samples that other folds test"


def run_folder(spec: RunSpec, record: Record) -> Path:
    """The folder of a run's checkpoints: that of its training, which runs that differ only in how they are tested
    share.
    """
    # Before records had a fingerprint, a run on another copy of the data had a folder named like itself.
    name = spec.training_id() + ("" if record.inputs else record.run_id.removeprefix(spec.run_id()))
    folder = recorded_folder(_marked_root(name), name, record)
    if paths.in_scratch() and not folder.exists():
        # What is trained in the project may be tried in scratch mode.
        with paths.scratch(on=False):
            return recorded_folder(_marked_root(name), name, record)
    return folder


def find_checkpoint(spec: RunSpec, record: Record) -> Path:
    """Where the checkpoint of a run is, or would be: fetched, where ``FER_BENCH_RUNS`` is an address that has it."""
    folder, name = run_folder(spec, record), f"{spec.snapshot}.ckpt"
    if (remote := remote_run(folder)) is not None:
        remote.bring_file(name)
    return folder / name


def folder_to_train(spec: RunSpec, inputs: Inputs) -> Path:
    """The folder in which a run on these inputs is to be trained, whose training has perhaps begun on another machine.

    Args:
        spec: of the run.
        inputs: its fingerprint.
    """
    name = spec.training_id()
    return training_folder(_marked_root(name), name, inputs)


def _marked_root(name: str) -> Path:
    """The folder of all trainings, in which that of one name says what it is of."""
    root = paths.runs_dir()
    if (remote := remote_run(root / name)) is not None:
        remote.bring_mark()
    return root


def begin_record(spec: RunSpec, protocol: Protocol, run_id: str) -> Record:
    """A run's record before anything is known of its result."""
    return Record(
        run_id=run_id,
        row=run_id.replace(f"-s{spec.seed}", "", 1),
        protocol=protocol.name,
        protocol_version=protocol.version,
        task=spec.task,
        dataset=spec.dataset,
        model=spec.model,
        recipe=spec.recipe,
        seed=spec.seed,
        spec=spec.model_dump(mode="json", exclude={"execution"}),
        code=provenance.code(),
        caveats=[*protocol.caveats, *([TUNED_ON_FOLDS] if spec.trials and protocol.fold_by else [])],
        notes=[f"settings chosen among {spec.trials} on validation"] if spec.trials else [],
    )
