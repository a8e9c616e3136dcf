"""run(spec): one run from start to end."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from filelock import FileLock, Timeout

from fer_bench import paths
from fer_bench.data.provenance import data_facts, split_caveats
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import FerBenchError, RecordError, RunInProgress, RunNanError
from fer_bench.models.initial import Initial, initial_weights, weights_inputs
from fer_bench.models.trained import load_weights
from fer_bench.models.weights import weights_digest
from fer_bench.protocols import Protocol
from fer_bench.results import provenance
from fer_bench.results.begin import begin_record, folder_to_train
from fer_bench.results.copies import checksums_of, note_present
from fer_bench.results.inputs import (
    Inputs,
    any_record,
    data_inputs,
    digest,
    find_done,
    mark,
    marked,
    may_resume,
    run_id_for,
)
from fer_bench.results.lineage import EXTRA_LABELS, inherited_caveats
from fer_bench.results.record import Record
from fer_bench.results.remote import LOCK, TRAINED, remote_run
from fer_bench.results.store import Store
from fer_bench.scoring.record import scored, without_scores
from fer_bench.spec import Execution, RunSpec
from fer_bench.tasks.base import AffectTask
from fer_bench.tasks.distilling import VOTES
from fer_bench.tracking.content import config_of, flat_scores, summary_of, tags_of
from fer_bench.tracking.session import Session, session_id, tracked
from fer_bench.training import hardware
from fer_bench.training.announce import BEGINS, announced, resumption
from fer_bench.training.build import build_task, check_names, counts_of
from fer_bench.training.clip_features import attach_features
from fer_bench.training.distributed import distribution, is_first, join, said_by_first
from fer_bench.training.fingerprint import fingerprint
from fer_bench.training.fit import fit
from fer_bench.training.inference import predict
from fer_bench.training.loggers import log_result
from fer_bench.training.origin import begun_with, find_origin, origins, placed
from fer_bench.training.outside import plugin_facts
from fer_bench.training.teachers import (
    find_teachers,
    require_same_data,
    teach,
    teachers_facts,
)
from fer_bench.training.votes import Votes, votes_for

# In the folder of a training that only a search has begun, which the search may remove.
OF_A_SEARCH = "searched"
_OTHER = "other data than those of the training of the same settings"
# Gives a session what is shown of a finished run.
Publish = Callable[[Session, Store, Record], None]


def run(
    spec: RunSpec,
    store: Store | None = None,
    *,
    force: bool = False,
    begun: Callable[[], None] | None = None,
    publish: Publish | None = None,
    wait: float = 0.0,
) -> Record:
    """Train, select on validation, test once, score, and write the record.

    Args:
        spec: every setting that affects the result.
        store: for the record; None: the project's leaderboards.
        force: repeat a run whose record exists.
        begun: is called once nothing that the run needs is missing: its data have been read, and its teachers found.
        publish: is called with the record where the run is tracked (``execution.wandb``).
        wait: seconds to wait for another process that is carrying out the same run.

    Returns:
        The record; the existing one if the run has finished before.

    Raises:
        FerBenchError: any error that the user can act on. A run whose loss becomes NaN writes a record with status
            ``nan`` first.
    """
    protocol = check_names(spec)
    device = hardware.resolve(spec)
    hardware.keep_freed_memory()
    store = store or Store()
    store.require_space()
    recorded = any_record(store, protocol.name, spec.model, spec.run_id())
    anew = force or not recorded
    if is_first(spec.execution):
        print(announced(spec, protocol, device, anew=force, recorded=recorded), flush=True)
    gone: list[RecordError] = []
    teachers = find_teachers(spec, store, None if anew else gone)
    origin = find_origin(spec, store, None if anew else gone)
    # What is done is answered without a hub; what is not is refused before the data are read where there is none.
    initial = initial_weights(spec, hub=anew)
    datamodule = build_datamodule(
        spec, batch_size=spec.batch_size // (spec.execution.devices * spec.execution.num_nodes), workers=device.workers
    )
    datamodule.setup()
    facts = data_facts(datamodule, protocol)
    require_same_data(teachers, data_inputs(facts))
    # Named before the training: a file may be another after it.
    begins_with = begun_with(spec, origin, store)
    networks = origins(spec, begins_with, teachers, data_inputs(facts), store)
    inherited = inherited_caveats(networks, spec.dataset, store)
    votes = votes_for(spec, datamodule)
    inputs = fingerprint(spec, facts, initial, teachers, votes, origin)
    if begun is not None:
        begun()
    join(spec.execution, device.accelerator)
    existing = find_done(store, protocol.name, spec.model, spec.run_id(), inputs)
    if said_by_first(existing is not None and not force):
        if existing is None or not is_first(spec.execution):
            sys.exit(0)
        note_present(store, protocol, checksums_of(existing))
        return existing
    if gone:
        raise gone[0]
    spec = placed(spec, origin)
    initial = initial or initial_weights(spec)
    inputs |= weights_inputs(initial)
    taught = teach(spec, teachers, datamodule, device, inputs, votes)

    def called() -> str:
        return run_id_for(store, protocol.name, spec.model, spec.run_id(), inputs, facts["known_copy"])

    run_id = called()

    said = BEGINS if force else resumption(spec, paths.runs_dir() / spec.training_id())
    folder = folder_to_train(spec, inputs)
    remote = remote_run(folder) if is_first(spec.execution) else None
    with lock(folder, spec.execution, wait):
        if is_first(spec.execution):
            fetched = remote is not None and remote.bring()
            begin_folder(folder, spec, inputs, anew=force)
            if remote is not None:
                remote.claim()
            if (found := resumption(spec, folder)) != said:
                why = f"from {paths.runs_address()}" if fetched else _OTHER
                print(f"run         {run_id}  {why}: {found}")
        L.seed_everything(spec.seed, workers=True, verbose=False)
        first = datamodule.split_dataset("validation").images[0]
        counts = counts_of(datamodule, protocol)
        task = build_task(
            spec, protocol, native_size=first.shape[0], class_counts=counts, initial=initial, taught=taught
        )
        attach_features(spec, task, datamodule, device)
        began_with: Initial | None = getattr(task.network, "initial", None)
        if began_with is not None and origin is not None:
            began_with = replace(began_with, source=f"run {origin.run_id}")
        if began_with is not None and is_first(spec.execution):
            print(f"weights: {began_with.describe()}", flush=True)
        draft = _draft(spec, protocol, run_id, facts, device, task, inherited, teachers, votes).model_copy(
            update={"inputs": inputs}
        )
        execution = spec.execution if is_first(spec.execution) else Execution()
        with tracked(
            execution,
            folder,
            # The same settings on other data are another run.
            session_id(run_id, digest(marked(folder))),
            run_id,
            group=draft.row,
            kind=draft.kind,
            tags=tags_of(draft),
            config=config_of(draft),
            resumes=True,
        ) as session:
            try:
                with distribution(spec.execution):
                    training = fit(spec, protocol, task, datamodule, device, folder, session)
                    if remote is not None:
                        remote.push()
            except RunNanError as error:
                store.put(without_scores(draft, error.problem), called=called)
                session.summary({"status": "nan", "message": error.problem})
                raise
            session.curves(training["curves"])
            load_weights(task, folder / f"{spec.snapshot}.ckpt")
            training["weights_sha256"] = weights_digest(task.network)
            if began_with is not None:
                runs = [one.run_id for one in begins_with] if origin is None else []
                training["initial_weights"] = began_with.facts() | ({"runs": runs} if runs else {})
            if taught is not None:
                training["teachers"] = teachers_facts(teachers, protocol, votes)
            began = time.perf_counter()
            predictions = {split: predict(task, datamodule, split, device, spec) for split in ("validation", "test")}
            training["prediction_seconds"] = round(time.perf_counter() - began, 3)
            record = scored(draft.model_copy(update={"training": training}), protocol, predictions)
            # Another process may have written a record of these settings on other data meanwhile.
            done = store.put(record, predictions, called=called)
            note_present(store, protocol, checksums_of(done))
            session.summary(summary_of(done))
            log_result(spec, folder, flat_scores(done.metrics, "test"), config_of(done))
            if publish is not None and session.is_open:
                publish(session, store, done)
            return done


def begin_folder(folder: Path, spec: RunSpec, inputs: Inputs, *, anew: bool = False, searched: bool = False) -> None:
    """Mark a training's folder with the inputs of the training.

    Args:
        folder: of the training, locked.
        spec: of the run.
        inputs: its fingerprint.
        anew: remove what it could resume from.
        searched: it is begun by a search; whatever a run has begun or taken up stays the run's.

    Raises:
        FerBenchError: another process has started the same training on other data there.
    """
    if folder_to_train(spec, inputs) != folder:
        problem = f"another process has just trained these settings on other data in {folder}."
        raise FerBenchError(problem, "Run the command again: it gets a separate folder.")
    if anew or not may_resume(folder, inputs):
        for name in (TRAINED, "last.ckpt"):
            (folder / name).unlink(missing_ok=True)
        mark(folder, inputs)
        if searched:
            (folder / OF_A_SEARCH).touch()
    if not searched:
        (folder / OF_A_SEARCH).unlink(missing_ok=True)


def _draft(
    spec: RunSpec,
    protocol: Protocol,
    run_id: str,
    facts: dict[str, Any],
    device: hardware.Device,
    task: AffectTask,
    inherited: list[str],
    teachers: list[Record],
    votes: Votes | None,
) -> Record:
    parameters = {
        "trainable": sum(p.numel() for p in task.network.parameters() if p.requires_grad),
        "total": sum(p.numel() for p in task.network.parameters()),
    }
    hardware = provenance.machine() | {
        "accelerator": device.accelerator,
        "devices": spec.execution.devices,
        "precision": device.precision,
        # The order of summation depends on the number of threads: results are bit-identical only for the same number.
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if device.accelerator == "cuda" else None,
    }
    begun = begin_record(spec, protocol, run_id)
    notes = [
        *begun.notes,
        *(["another copy of the data than the one that the protocol ranks"] if facts["known_copy"] is False else []),
    ]
    if labels := facts.get("labels"):
        notes.append(
            f"trained on the labels of {labels['file']}: {labels['n_train_changed']} of {facts['n']['train']} training"
            " labels are others"
        )
    if named := [record.run_id for record in teachers] + (
        [] if votes is None else [f"{VOTES} ({votes.unnamed} training faces without a vote)"]
    ):
        notes.append(f"distilled from {', '.join(named)}")
    code = begun.code | plugin_facts(spec)
    others = [EXTRA_LABELS] if spec.labels or votes is not None else []
    caveats = list(dict.fromkeys([*begun.caveats, *split_caveats(facts), *inherited, *others]))
    return begun.model_copy(
        update={
            "code": code,
            "data": facts,
            "hardware": hardware,
            "parameters": parameters,
            "notes": notes,
            "caveats": caveats,
        }
    )


@contextlib.contextmanager
def lock(folder: Path, execution: Execution, wait: float = 0.0) -> Iterator[None]:
    """Lock a run's folder against other processes; those that a distributed strategy starts belong to the first.

    Args:
        folder: of the training.
        execution: of the run.
        wait: seconds to wait for a process that holds it.

    Raises:
        FerBenchError: the same run is already in progress.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not is_first(execution):
        yield
        return
    guard = FileLock(folder / LOCK)
    try:
        guard.acquire(timeout=wait)
    except Timeout:
        problem = f"this run is already in progress (it holds the lock {folder / LOCK})."
        raise RunInProgress(
            problem, "Wait for it, or stop it and run the command again: it resumes from its last epoch."
        ) from None
    try:
        yield
    finally:
        guard.release()
