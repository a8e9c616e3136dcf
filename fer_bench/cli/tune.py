"""The verb that searches for settings: ``tune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench.apps.runs import compose, gathered
from fer_bench.assignments import parse_assignments
from fer_bench.cli.flags import CONTEXT, FIELDS, SETTINGS, Grouped, agreed, typed, with_fields
from fer_bench.cli.on_engine import SIDE_BY_SIDE, STATUS, OnEngine, engine_options, only_status, say_status
from fer_bench.cli.train import EXECUTION, FOLD_BY, FOLDS, GROUPS, PLACES, USE
from fer_bench.errors import SpecError
from fer_bench.spec import Execution, RunSpec
from fer_bench.sweeps.engines.choose import EngineOptions, check_engine

if TYPE_CHECKING:
    from fer_bench.sweeps.tuning.search import Found, Search

Opt = typer.Option
# A trial is trained on one device, and tracked by nobody.
_LEFT = (*PLACES, *FIELDS, "devices", "num_nodes", "strategy")


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("tune", cls=Grouped, context_settings=CONTEXT)(tune_verb)


@with_fields(RunSpec, GROUPS, leave=("execution", "recipe", "trials"))
@with_fields(EngineOptions, SIDE_BY_SIDE)
@with_fields(Execution, EXECUTION, leave=_LEFT)
def tune_verb(
    folds: FOLDS = None,
    fold_by: FOLD_BY = None,
    use: USE = None,
    budget: Annotated[int, Opt(min=1, help="Settings to try in all, those of earlier calls included.")] = 40,
    search: Annotated[
        list[str] | None,
        Opt(
            metavar="KEY=VALUES",
            help="What to vary: lr=1e-4:1e-2:log, batch_size=32,64 or epochs=10:30:5; repeatable. Without it: learning"
            " rate, decay, batch size, augmentation and, of classes, label smoothing.",
        ),
    ] = None,
    space: Annotated[Path | None, Opt(metavar="FILE", help="The same as a YAML file.")] = None,
    prune: Annotated[
        bool, Opt("--prune/--no-prune", help="End a training early whose validation score is below the median.")
    ] = True,
    dry_run: Annotated[bool, Opt("--dry-run", help="Only print what would be varied, and what is done.")] = False,
    status: STATUS = False,
    sets: SETTINGS = None,
    **flags: Any,
) -> None:
    """Search for better settings on validation, and write the best down as a recipe that `run --use` takes.

    Nothing is tested: the test split is dropped as soon as the dataset has been read. A search that was stopped resumes
    when the same command is given again; given in several terminals, they share the trials, and with --on they are
    tried side by side.
    """
    from fer_bench.results.store import Store
    from fer_bench.sweeps.tuning.search import plan
    from fer_bench.sweeps.tuning.search import search as carry_out
    from fer_bench.sweeps.tuning.space import parse_space, read_space

    given = typed(RunSpec, {key: flags[key] for key in RunSpec.model_fields if key in flags})
    given |= typed(Execution, {key: flags[key] for key in Execution.model_fields if key in flags})
    given |= parse_assignments(f"{key}={text}" for key, text in (("folds", folds), ("fold_by", fold_by)) if text)
    if search and space:
        problem = "--search and --space both say what to vary."
        raise SpecError(problem, "Leave one of them out.")
    side = engine_options({key: flags[key] for key in EngineOptions.model_fields})
    if side is not None:
        check_engine(side)
    if status:
        given_too = {"dry_run": dry_run, "no_prune": not prune, "on": side is not None}
        only_status(name for name, value in given_too.items() if value)
    asked = compose(agreed(gathered(given), parse_assignments(sets or [], RunSpec)), use=use, say=typer.echo)
    chosen = read_space(space) if space else parse_space(search) if search else None
    planned = plan(asked.spec, chosen)
    if status:
        say_status(planned.study_folder, f"search {planned.name}")
        return
    if asked.begun is not None:
        asked.begun()
    _describe(planned, budget)
    if dry_run:
        return
    if side is None:
        _conclude(planned, carry_out(planned, budget, Store(), prune=prune, say=typer.echo))
    else:
        _side_by_side(planned, budget, side, prune)


def _side_by_side(planned: Search, budget: int, side: EngineOptions, prune: bool) -> None:
    from fer_bench.apps.suites.trials import over_in, trials_of
    from fer_bench.results.store import Store
    from fer_bench.sweeps.tuning.search import conclude

    execution = planned.spec.execution.model_dump()
    spread = OnEngine(f"search {planned.name}", planned.study_folder, side, execution, Store())
    over = over_in(planned.study_folder)
    spread.gather()
    study = planned.open(prune)
    spread.carry_out(trials_of(planned, study, budget, prune=prune, over=over))
    found = conclude(planned, study)
    _conclude(planned, found)
    if len(found.trials) < budget:
        typer.echo(f"{budget - len(found.trials)} of {budget} trials are left; the same command goes on", err=True)
        raise typer.Exit(1)


def _describe(planned: Search, budget: int) -> None:
    done = planned.study_folder.is_dir() and len(planned.open().ended())
    typer.echo(f"search      {planned.name}: {planned.spec.model} in protocol {planned.protocol.name}")
    for name, part in planned.space.items():
        typer.echo(f"  {name}: {part.plain()}")
    typer.echo(f"trials      {budget} of {planned.spec.epochs} epochs{f', {done} done' if done else ''}, on validation")
    if planned.asked != planned.spec:
        typer.echo("folds       the settings are searched for on the first fold, and the record will say so")


def _conclude(planned: Search, found: Found) -> None:
    from fer_bench.sweeps.tuning.search import in_words

    metric = planned.protocol.primary
    states = [one.state for one in found.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    typer.echo(f"trials      {len(states)}: {counts}{f'; {found.elsewhere} elsewhere' if found.elsewhere else ''}")
    before = "" if found.start is None else f"; the settings searched around: {found.start:.4f}"
    typer.echo(f"best        validation {metric} {found.trial.value:.4f}, trial {found.trial.number + 1}{before}")
    typer.echo(f"            {in_words(found.trial.point)}")
    typer.echo(f"recipe      {planned.recipe_file}")
    typer.echo(f"test it     fer-bench run --use {planned.use}")
