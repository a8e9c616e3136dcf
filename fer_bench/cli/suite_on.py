"""``suite --on``: a suite on an engine, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench.cli.flags import typed
from fer_bench.errors import MissingDataError, SpecError
from fer_bench.spec import Execution, RunSpec, spec_error
from fer_bench.sweeps.engines.choose import EngineOptions, check_engine, make_engine

if TYPE_CHECKING:
    from fer_bench.apps.suites.carry_out import Result
    from fer_bench.results.store import Store
    from fer_bench.sweeps.todo import Todo

SIDE_BY_SIDE = "Side by side (changes no result but by the number of threads)"
STATUS = Annotated[
    bool, typer.Option("--status", help="Only show how far the suite is that another terminal carries out with --on.")
]


def engine_options(flags: Mapping[str, Any]) -> EngineOptions | None:
    """How runs are spread, from the flags; None: they are not.

    Raises:
        SpecError: a value out of range, or one without ``--on``.
    """
    from pydantic import ValidationError

    given = typed(EngineOptions, flags)
    if given and not given.get("on"):
        problem = f"--{next(iter(given)).replace('_', '-')} is for runs side by side."
        raise SpecError(problem, "Give --on too, for example --on local:2.")
    try:
        return EngineOptions.model_validate(given) if given else None
    except ValidationError as error:
        raise spec_error(error, "the command line", EngineOptions) from None


def say_status(file: Path) -> None:
    """Show how far a suite is; exits with 1 where something has failed."""
    from rich.console import Console

    from fer_bench.apps.suites.state import failures, status_of
    from fer_bench.apps.suites.table import shown

    state, alive = status_of(file)
    console = Console(soft_wrap=True)
    console.print(shown(state, most=max(len(state.rows), 1)))
    if alive:
        console.print(f"carried out on {state.on} by process {state.pid} on {state.host}", highlight=False)
    elif not state.ended:
        console.print(f"nobody carries it out: `fer-bench suite {file} --on {state.on}` goes on", highlight=False)
    if failures(state.rows):
        raise typer.Exit(1)


class OnEngine:
    """A suite that an engine carries out.

    Args:
        file: the suite.
        options: which engine, and how.
        execution: where and how its runs are carried out.
        store: of records.
        force: repeat what has a record.
    """

    def __init__(
        self, file: Path, options: EngineOptions, execution: Mapping[str, Any], store: Store, *, force: bool
    ) -> None:
        from fer_bench.apps.suites.exchange import gather
        from fer_bench.apps.suites.state import driving, suite_folder

        self._file, self._options, self._store, self._force = file, options, store, force
        self._execution = Execution.model_validate(dict(execution))
        check_engine(options)
        self._folder = suite_folder(file)
        self._lock = driving(self._folder)
        # With force, too: what is repeated now may be another part of the suite.
        if n := gather(self._folder, store):
            typer.echo(f"{n} of an earlier call had ended meanwhile, and are taken into the store")

    def carry_out(self, found: Todo, networks: Sequence[RunSpec]) -> None:
        """Carry out what the suite lacks; says what failed, with its logs.

        Raises:
            typer.Exit: something failed or was left out: 1, or 2 where nothing is done.
        """
        from fer_bench.apps.suites.carry_out import carry_out_work
        from fer_bench.apps.suites.plan import work_of

        work = work_of(found, networks, self._store, force=self._force)
        try:
            engine = make_engine(self._options, self._execution.accelerator, n=len(work.pieces))
            result = carry_out_work(
                self._file,
                work,
                engine,
                self._store,
                self._folder,
                self._execution,
                self._options.stage or "",
                typer.echo,
            )
        finally:
            self._lock.release()
        self._end(result, work.left_out)

    def _end(self, result: Result, left_out: Mapping[str, int]) -> None:
        rows = result.state.rows
        for row in rows:
            if row.state in ("failed", "left out"):
                log = f"; log {row.log}" if row.log else ""
                typer.echo(f"  {row.state}  {row.name}: {row.text}{log}", err=True)
        for dataset, n in left_out.items():
            typer.echo(f"  {n} left out, for {dataset} is not here", err=True)
        if left_out and not rows:
            problem = f"{self._file}: nothing of it can be done without {' and '.join(left_out)}."
            raise MissingDataError(problem, "Put the data where they are looked for (above), or name it by --data-dir.")
        if left_out or any(row.state != "done" for row in rows):
            raise typer.Exit(1 if result.n_recorded else 2)
