"""``--on``: a suite, or a search, on an engine, and how far it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench.cli.flags import flag_of, typed
from fer_bench.counting import counted
from fer_bench.errors import SpecError
from fer_bench.spec import Execution, spec_error
from fer_bench.sweeps.engines.choose import EngineOptions, check_engine, make_engine

if TYPE_CHECKING:
    from fer_bench.apps.suites.carry_out import Result
    from fer_bench.apps.suites.plan import Work
    from fer_bench.results.store import Store

SIDE_BY_SIDE = "Side by side (changes no result but by the number of threads)"
STATUS = Annotated[
    bool, typer.Option("--status", help="Only show how far it is, while another terminal carries it out with --on.")
]


def engine_options(flags: Mapping[str, Any]) -> EngineOptions | None:
    """How runs are spread, from the flags; None: they are not.

    Raises:
        SpecError: a value out of range, or one without ``--on``.
    """
    from pydantic import ValidationError

    given = typed(EngineOptions, flags)
    if given and not given.get("on"):
        problem = f"{flag_of(next(iter(given)))} is for runs side by side."
        raise SpecError(problem, "Give --on too, for example --on local:2.")
    try:
        return EngineOptions.model_validate(given) if given else None
    except ValidationError as error:
        raise spec_error(error, "the command line", EngineOptions) from None


def only_status(given: Iterable[str], but: tuple[str, ...] = ()) -> None:
    """Refuse what changes nothing beside ``--status``.

    Args:
        given: options that were given, by field.
        but: those that do.

    Raises:
        SpecError: there is one.
    """
    if idle := [name for name in given if name not in but]:
        problem = f"--status only shows how far it is; {flag_of(idle[0])} changes nothing of that."
        raise SpecError(problem, "Leave it out.")


def say_status(folder: Path, what: str, keys: Collection[str] | None = None) -> None:
    """Show how far something is that an engine carries out; exits with 1 where something has failed.

    Args:
        folder: of its tasks.
        what: it is.
        keys: of its pieces, those to be shown; None: all.
    """
    from rich.console import Console

    from fer_bench.apps.suites.state import failures, status_of
    from fer_bench.apps.suites.table import shown

    state, alive = status_of(folder, what)
    if keys is not None:
        # The time left is that of all.
        state = state.model_copy(update={"rows": [row for row in state.rows if row.key in keys], "left": None})
    console = Console(soft_wrap=True)
    console.print(shown(state, most=max(len(state.rows), 1)))
    if alive:
        console.print(f"carried out on {state.on} by process {state.pid} on {state.host}", highlight=False)
    elif not state.ended:
        console.print(f"nobody carries it out: the same command with --on {state.on} goes on", highlight=False)
    if failures(state.rows):
        raise typer.Exit(1)


class OnEngine:
    """What an engine carries out.

    Args:
        name: what a user calls it.
        folder: of its tasks; it is locked from now on.
        options: which engine, and how.
        execution: where and how its runs are carried out.
        store: of records.

    Raises:
        FerBenchError: there is no such engine, or another process carries it out already.
    """

    def __init__(
        self, name: str, folder: Path, options: EngineOptions, execution: Mapping[str, Any], store: Store
    ) -> None:
        from fer_bench.apps.suites.state import driving

        self._name, self._folder, self._options, self._store = name, folder, options, store
        self._execution = Execution.model_validate(dict(execution))
        check_engine(options)
        self._lock = driving(folder)

    def gather(self) -> None:
        """Take what an earlier driver did not live to take."""
        from fer_bench.apps.suites.exchange import gather

        if n := gather(self._folder, self._store):
            taken = counted(n, "task")
            typer.echo(
                f"{taken} of an earlier call had ended meanwhile, and {'is' if n == 1 else 'are'} taken into the store"
            )

    def carry_out(self, work: Work) -> Result:
        """Carry out pieces of work; says what failed, with its logs.

        Raises:
            FerBenchError: the engine cannot be made, or it was stopped.
        """
        from fer_bench.apps.suites.carry_out import carry_out_work

        try:
            engine = make_engine(self._options, self._execution.accelerator, n=len(work.pieces))
            result = carry_out_work(
                self._name,
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
        for row in result.state.rows:
            if row.state in ("failed", "left out"):
                log = f"; log {row.log}" if row.log else ""
                typer.echo(f"  {row.state}  {row.name}: {row.text}{log}", err=True)
        return result
