"""The verb that trains: ``run``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fer_bench.apps.runs import carry_out, compose, gathered
from fer_bench.assignments import parse_assignments
from fer_bench.cli.flags import CONTEXT, SETTINGS, Grouped, agreed, typed, with_fields
from fer_bench.spec import Execution, RunSpec

Opt = typer.Option
# Titles of the groups of flags, by the field with which each begins.
_DATA = "Data and network"
GROUPS = {
    "dataset": _DATA,
    "epochs": "Training",
    "loss": "Loss and labels",
    "augment": "Augmentation",
    "steps_per_epoch": "Length and regularization",
    "tta": "Test",
    "recipe": "Name",
}
FOLDS = Annotated[
    str | None,
    Opt(metavar="INT", rich_help_panel=_DATA, help="Cross-validate: run this many folds as one experiment."),
]
FOLD_BY = Annotated[
    str | None,
    Opt(
        metavar="TEXT", rich_help_panel=_DATA, help="What folds keep together: identity, clip, photo or frame (leaky)."
    ),
]
USE = Annotated[
    str | None,
    Opt(
        metavar="RECIPE",
        help=(
            "Settings of a recipe instead of the defaults: SUITE/RECIPE, the suite by its name or file, or its digest"
            " (`fer-bench list recipes`)."
        ),
    ),
]
# Filled in from the settings that name files.
PLACES = ("labels_file", "table_file", "files")
EXECUTION = "Where and how (changes no result)"


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("run", cls=Grouped, context_settings=CONTEXT)(run_verb)


@with_fields(RunSpec, GROUPS, leave=("execution",))
@with_fields(Execution, EXECUTION, leave=PLACES)
def run_verb(
    folds: FOLDS = None,
    fold_by: FOLD_BY = None,
    use: USE = None,
    dry_run: Annotated[
        bool, Opt("--dry-run", help="Only print what the run would be, and how long it would take on this machine.")
    ] = False,
    force: Annotated[bool, Opt("--force", help="Repeat a run whose record exists.")] = False,
    sets: SETTINGS = None,
    **flags: Any,
) -> None:
    """Train, select on validation, test once, score, write the record, and render the leaderboard.

    What is not given comes from the best recipe known for the dataset and the network (benchmarks/*.yaml); --dry-run
    shows it.
    """
    given = typed(RunSpec, {key: flags[key] for key in RunSpec.model_fields if key in flags})
    given |= typed(Execution, {key: flags[key] for key in Execution.model_fields if key in flags})
    given |= parse_assignments(f"{key}={text}" for key, text in (("folds", folds), ("fold_by", fold_by)) if text)
    asked = compose(agreed(gathered(given), parse_assignments(sets or [], RunSpec)), use=use, say=typer.echo)
    if dry_run:
        _describe(asked.spec)
        return
    run_and_say(asked.spec, force, asked.begun)


def _describe(spec: RunSpec) -> None:
    from fer_bench.results.store import Store
    from fer_bench.sweeps.folds import fold_specs, is_experiment
    from fer_bench.training.dry_run import describe_run

    for line in describe_run(spec, Store(), folds=fold_specs(spec) if is_experiment(spec) else ()):
        typer.echo(line)


def run_and_say(spec: RunSpec, force: bool = False, begun: Any = None) -> None:
    """Carry out a run, and say what it scored and where its record is."""
    from fer_bench.protocols import protocol_named
    from fer_bench.results.store import Store
    from fer_bench.sweeps.folds import describe

    store = Store()
    record = carry_out(spec, store, force=force, begun=begun)
    primary = protocol_named(record.protocol, record.dataset, record.task).primary
    value = record.metrics.get(primary)
    shown = (
        describe(record, primary) if record.data.get("folds") else f"{value:.4f}" if isinstance(value, float) else "-"
    )
    typer.echo(f"{record.run_id}: {record.protocol} {record.model}: {shown} on {record.n_scored} test samples")
    typer.echo(f"record      {store.path(record.protocol, record.model, record.run_id)}")
    typer.echo(f"leaderboard {store.root / (record.protocol + '.md')}")
