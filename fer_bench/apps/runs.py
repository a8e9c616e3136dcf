"""From a command to a run, and from a run to its record and its board: what ``fer-bench run`` and :func:`fer_bench.run`
share.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fer_bench.counting import counted
from fer_bench.errors import SpecError
from fer_bench.layering import layered, merge, unset, wants_auto, without_idle
from fer_bench.protocols import parts_of
from fer_bench.registry import unknown_name
from fer_bench.spec import AUTO, Execution, RunSpec, build

if TYPE_CHECKING:
    from fer_bench.results.record import Record
    from fer_bench.results.store import Store

# Of any dataset, so they may be given like settings.
FOLDING = ("folds", "fold_by")
Say = Callable[[str], None]


def gathered(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that were given side by side, each where :class:`RunSpec` has it.

    Args:
        flat: fields of :class:`RunSpec` and of :class:`Execution` (``data_dir``, ``accelerator``, ...), and ``folds``
            and ``fold_by``; None is left out.

    Raises:
        UnknownNameError: a name that is none of these, with suggestions.
        SpecError: folds that contradict the dataset's options.
    """
    known = [key for key in (*RunSpec.model_fields, *Execution.model_fields, *FOLDING) if key != "execution"]
    settings: dict[str, Any] = {}
    options = flat.get("dataset_options")
    for key in FOLDING:
        value = flat.get(key)
        if value is not None and isinstance(options, Mapping) and options.get(key, value) != value:
            problem = f"{key} is given twice: {value!r} by itself, and {options[key]!r} among dataset_options."
            raise SpecError(problem, "Give it once.")
    for key, value in flat.items():
        if key not in known:
            kind = "setting"
            raise unknown_name(kind, key, known)
        if value is None:
            continue
        if key in RunSpec.model_fields:
            settings = merge(settings, {key: value})
        else:
            settings = merge(settings, {"dataset_options" if key in FOLDING else "execution": {key: value}})
    return settings


@dataclass(frozen=True)
class Composed:
    """A run that settings ask for.

    Args:
        spec: of the run.
        begun: to be called once the run begins; keeps which weights ``auto`` has chosen.
    """

    spec: RunSpec
    begun: Callable[[], None] | None = None


def compose(
    given: Mapping[str, Any], *, use: str | None = None, where: str = "the command line", say: Say = print
) -> Composed:
    """The run that settings ask for: from a recipe, or from the layers of defaults, with its dataset and its weights
    settled.

    Args:
        given: settings by field name, as :func:`gathered` returns them; these count more than any default.
        use: a recipe of a suite instead of the defaults.
        where: what is being read, for the error.
        say: is told what was chosen where the settings leave it open.

    Raises:
        FerBenchError: an unknown name, or a value out of range.
    """
    settings = dict(given)
    settings |= dataset_here(settings)

    def settle(given: Mapping[str, Any], weights: str) -> dict[str, Any]:
        if use is None:
            found = layered(given, auto=weights) | unset(given)
        else:
            from fer_bench.sweeps.recipes import use_recipe

            found = use_recipe(use, {**given, "weights": weights} if given.get("weights") == AUTO else given)
        return without_idle(found, given)

    # A recipe's weights are settled, unless the command leaves them open.
    if settings.get("weights") == AUTO if use is not None else wants_auto(settings):
        from fer_bench.training.auto_weights import resolve_auto

        chosen = resolve_auto(settings, settle)
        say(chosen.said)
        return Composed(chosen.spec, chosen.keep)
    return Composed(build(settle(settings, "none"), where))


def dataset_here(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The ``dataset`` of settings that name one: of FER+ the copy that is here, see :func:`which_ferplus`."""
    if settings.get("dataset") != "ferplus":
        return {"dataset": settings["dataset"]} if "dataset" in settings else {}
    return {"dataset": which_ferplus((settings.get("execution") or {}).get("data_dir"))}


def which_ferplus(data_dir: str | None) -> str:
    """``ferplus``, or ``ferplus_generated`` where only that is there; then standard error says so, since it is another
    protocol.
    """
    from fer_bench.datasets.ferplus.generated import WHICH
    from fer_bench.datasets.load import dataset_there

    found = dataset_there("ferplus", data_dir)
    if found != "ferplus":
        print(f"ferplus: {WHICH}", file=sys.stderr)
    return found


def carry_out(spec: RunSpec, store: Store, *, force: bool = False, begun: Callable[[], None] | None = None) -> Record:
    """Train, test and record a run, or all folds of a cross-validation, and update the boards.

    Args:
        spec: of the run.
        store: where the record goes.
        force: repeat a run whose record exists.
        begun: is called once the run begins, see :func:`fer_bench.training.run.run`.
    """
    from fer_bench.apps.tracking import publish, publish_records
    from fer_bench.leaderboard.render import render_all
    from fer_bench.results.provenance import now
    from fer_bench.sweeps.folds import is_experiment, run_folds
    from fer_bench.training.run import run

    if is_experiment(spec):
        began = now()
        record = run_folds(spec, store, force=force, run=partial(run, begun=begun, publish=publish))
        # One that was there before has been shown before.
        if record.created >= began:
            publish_records([record], store, spec.execution)
    else:
        record = run_and_test(spec, store, force=force, begun=begun)
    render_all(store)
    return record


def run_and_test(
    spec: RunSpec,
    store: Store,
    *,
    force: bool = False,
    begun: Callable[[], None] | None = None,
    wait: float = 0.0,
) -> Record:
    """Train, test and record one run, and test a network of several datasets on each of them; no board is rendered.

    Args:
        spec: of the run, which is no cross-validation.
        store: where the records go.
        force: repeat a run whose record exists.
        begun: is called once the run begins, see :func:`fer_bench.training.run.run`.
        wait: seconds to wait for another process that is carrying out the same run.
    """
    from fer_bench.apps.tracking import publish
    from fer_bench.training.run import run

    record = run(spec, store, force=force, begun=begun, publish=publish, wait=wait)
    _test_on_sources(spec, record, store, force=force)
    return record


def _test_on_sources(spec: RunSpec, record: Record, store: Store, *, force: bool) -> None:
    """Test a network of several datasets on each of them, for their own boards; those that have it are left alone."""
    from fer_bench.apps.tracking import publish_records
    from fer_bench.results.places import folder_name
    from fer_bench.training.evaluate import evaluate

    parts = parts_of(spec.dataset)
    if parts:
        for note in record.data.get("notes") or ():
            print(f"note        {note}", flush=True)
    for part in parts:
        done = any(
            found.run_id.startswith(f"{record.run_id}-on-{part}")
            for name in store.protocols()
            if name.startswith(f"{part}-")
            for found in store.records(name)
            if found.kind == "evaluated"
        )
        if done and not force:
            continue
        reference = f"{record.protocol}/{folder_name(record.model)}/{record.run_id}"
        tested = evaluate(store, reference, part, execution=spec.execution)
        publish_records([tested], store, spec.execution)
        value = tested.metrics.get("accuracy")
        shown = f"{value:.4f}" if isinstance(value, float) else "-"
        # The other folds of a source were trained on.
        fold = tested.data.get("fold")
        alone = f", fold {fold['fold'] + 1} of {fold['folds']} alone, which is not ranked" if fold else ""
        n = counted(tested.n_scored, "sample")
        print(f"tested on   {part}: {tested.protocol}: accuracy {shown} on {n}{alone}", flush=True)
