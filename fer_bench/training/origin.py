"""The run whose weights another one begins with, ``weights: run:ID``, and what a run may come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fer_bench.errors import RecordError, SpecError, WeightsError
from fer_bench.models.recognised import runs_of_file
from fer_bench.models.trained import checkpoint_of, spec_of
from fer_bench.pinning import NAMED_WEIGHTS, RUN
from fer_bench.results.inputs import WEIGHTS, Inputs
from fer_bench.results.lineage import lineage, require_unseen
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec

_WHERE = "weights: "


def find_origin(spec: RunSpec, store: Store, gone: list[RecordError] | None = None) -> Record | None:
    """The record of the run that a spec begins with; of a cross-validation that of the same fold.

    Args:
        spec: the run.
        store: where the records are.
        gone: is given the error where there is no such record: a run that is done needs none; None: it is raised.

    Returns:
        None where the weights are not a run's.

    Raises:
        RecordError: no such run.
        SpecError: one that this run cannot begin with, with the reason.
    """
    if not spec.weights.startswith(RUN):
        return None
    reference = spec.weights.removeprefix(RUN)
    try:
        record = store.get(reference)
        if folds := record.data.get("folds"):
            record = store.get(_same_fold(spec, record, list(folds)))
    except RecordError as error:
        missing = RecordError(_WHERE + error.problem, error.hint)
        if gone is None:
            raise missing from None
        gone.append(missing)
        return None
    if record.status != "finished" or record.kind != "trained" or not record.training.get("weights_sha256"):
        problem = (
            f"{_WHERE}run {record.run_id} (kind {record.kind}, status {record.status}) has no weights to begin with."
        )
        raise SpecError(problem, "Choose a finished run of kind 'trained'.")
    if record.model != spec.model:
        problem = f"{_WHERE}run {record.run_id} is of {record.model}, this run of {spec.model}."
        raise SpecError(problem, f"Use --model {record.model}, or another run.")
    return record


def _same_fold(spec: RunSpec, record: Record, folds: list[str]) -> str:
    folding = spec.folding
    if folding is None or folding.fold is None or folding.folds != len(folds):
        problem = (
            f"{_WHERE}run {record.run_id} is a cross-validation of {len(folds)} folds; this run is in none of them."
        )
        raise SpecError(
            problem, f"Cross-validate this one too (--folds {len(folds)}), or choose one of {', '.join(folds)}."
        )
    return folds[folding.fold]


def origins(
    spec: RunSpec, begins_with: Sequence[Record], teachers: Sequence[Record], inputs: Mapping[str, str], store: Store
) -> list[Record]:
    """Every network that a run comes from: the one it begins with, also where its checkpoint is named as a file, its
    teachers, and theirs.

    Args:
        spec: the run.
        begins_with: of :func:`begun_with`.
        teachers: records of its teachers.
        inputs: fingerprint of the data here.
        store: where theirs are looked up.

    Raises:
        SpecError: one of them may have been trained on what is validated or tested here.
    """
    found = []
    for where, nearest in ((_WHERE, begins_with), ("method_options.teachers: ", teachers)):
        networks = lineage(nearest, store)
        require_unseen(networks, spec.dataset, spec.dataset_options, inputs, where)
        found += networks
    return found


def begun_with(spec: RunSpec, origin: Record | None, store: Store) -> list[Record]:
    """The runs that a run begins with: that of :func:`find_origin`, or those whose checkpoint its file may be."""
    if origin is not None:
        return [origin]
    named = spec.weights in NAMED_WEIGHTS or spec.weights.startswith(RUN)
    return [] if named else runs_of_file(spec.execution.files.get(spec.weights, spec.weights), store)


def origin_inputs(origin: Record | None) -> Inputs:
    """The run's part of a fingerprint: the digest of its weights."""
    return {} if origin is None else {WEIGHTS: str(origin.training["weights_sha256"])[:16]}


def placed(spec: RunSpec, origin: Record | None) -> RunSpec:
    """A spec that says where the checkpoint of the run is that it begins with.

    Raises:
        WeightsError: it is not on this machine.
    """
    if origin is None:
        return spec
    try:
        checkpoint = checkpoint_of(origin, spec_of(origin, spec.execution))
    except WeightsError as error:
        raise WeightsError(_WHERE + error.problem, error.hint) from None
    files = {**spec.execution.files, spec.weights: str(checkpoint)}
    return spec.model_copy(update={"execution": spec.execution.model_copy(update={"files": files})})
