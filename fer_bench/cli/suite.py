"""The verb that carries out suites: ``suite``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench.cli.flags import CONTEXT, FIELDS, Grouped, typed, with_fields
from fer_bench.cli.grids import described, run_grids
from fer_bench.cli.on_engine import (
    SIDE_BY_SIDE,
    STATUS,
    OnEngine,
    engine_options,
    only_status,
    say_status,
)
from fer_bench.cli.train import EXECUTION, PLACES, run_and_say
from fer_bench.counting import counted
from fer_bench.errors import FerBenchError, MissingDataError, SpecError, UnknownNameError
from fer_bench.registry import unmatched
from fer_bench.spec import Execution, RunSpec
from fer_bench.sweeps.engines.choose import EngineOptions, check_engine
from fer_bench.sweeps.progress import Progress, run_step, steps_of, test_step

if TYPE_CHECKING:
    from fer_bench.probes.settings import ProbeSettings
    from fer_bench.results.store import Store
    from fer_bench.sweeps.suite import Plan, Suite
    from fer_bench.sweeps.todo import Todo

Opt = typer.Option
ONLY = Annotated[str | None, Opt(metavar="TEXT", help="Only what has this in its recipe, model or protocol.")]
SEEDS = Annotated[str | None, Opt(metavar="A,B,...", help="Replace the suite's seeds: 0,1,2.")]
DRY = Annotated[bool, Opt("--dry-run", help="Only list what there is to do, and what is done.")]
FORCE = Annotated[bool, Opt("--force", help="Repeat what has a record.")]
# Of names that are not known: the setting, where it is called otherwise.
_SETTINGS = {"augmentation": "augment"}
# What heads are trained on is chosen by these two.
_OF_HEADS = ("data_dir", "accelerator", *FIELDS)


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("suite", cls=Grouped, context_settings=CONTEXT)(suite_verb)


@with_fields(EngineOptions, SIDE_BY_SIDE)
@with_fields(Execution, EXECUTION, leave=PLACES)
def suite_verb(
    file: Annotated[Path, typer.Argument(help="A suite: a YAML file, or the name of one in benchmarks/suites.")],
    only: ONLY = None,
    seeds: SEEDS = None,
    dry_run: DRY = False,
    force: FORCE = False,
    status: STATUS = False,
    **flags: Any,
) -> None:
    """Do everything of a suite that the store lacks: its trainings, their tests on other datasets, its grids of heads
    on frozen networks, and the networks that these need.
    """
    if status:
        others = {**flags, "dry_run": dry_run or None, "force": force or None}
        only_status(key for key, value in others.items() if value is not None)
        _say_status(file, only, seeds)
        return
    execution = typed(Execution, {key: flags[key] for key in Execution.model_fields if key in flags})
    side = engine_options({key: flags[key] for key in EngineOptions.model_fields})
    carry_out_suite(file, execution, only, seeds, dry_run=dry_run, force=force, side=side)


def carry_out_suite(
    file: Path,
    execution: dict[str, Any] | None = None,
    only: str | None = None,
    seeds: str | None = None,
    *,
    dry_run: bool = False,
    force: bool = False,
    side: EngineOptions | None = None,
) -> None:
    """Carry out a suite; one thing that fails does not cost the others.

    Args:
        file: path or name.
        execution: where and how.
        only: a part of a recipe's, model's or protocol's name.
        seeds: with commas between them; None: the suite's own.
        dry_run: only list it.
        force: repeat what has a record.
        side: how runs are spread; None: one after the other in this process.
    """
    from fer_bench.apps.suites.plan import work_of
    from fer_bench.apps.suites.state import suite_folder
    from fer_bench.results.store import Store
    from fer_bench.sweeps.suite import read
    from fer_bench.sweeps.todo import todo

    execution = execution or {}
    if execution.get("num_nodes", 1) > 1:
        problem = "a suite begins its runs itself, each on one node."
        raise SpecError(problem, "Use --devices; a single run on several nodes is begun by torchrun or srun.")
    if execution.get("wandb", "off") != "off":
        # By the suite's name its runs are found.
        execution = {**execution, "wandb_tags": [*execution.get("wandb_tags", ()), file.stem[:64]]}
    suite, store = read(file, execution, _seeds(seeds)), Store()
    plan, grids = _chosen(suite, file, only)
    if not plan and not suite.networks and (extra := [key for key in execution if key not in _OF_HEADS]):
        problem = f"{file} has grids of heads alone, which are trained on one device."
        raise SpecError(problem, f"Leave --{extra[0].replace('_', '-')} out.")
    networks = list(suite.networks.values())
    spread = None
    if side is not None:
        check_engine(side)
    if side is not None and not dry_run:
        spread = OnEngine(str(file), suite_folder(file), side, execution, store)
        # With force, too: what is repeated now may be another part of the suite.
        spread.gather()
    found = todo(plan, store, grids, networks, execution.get("data_dir"))
    if force:
        found.runs, found.grids = [spec for spec, _ in plan], list(grids)
    _list(file, plan, grids, found, every=dry_run)
    if dry_run:
        # Records can be compared with a suite without PyTorch; names cannot be looked up.
        with contextlib.suppress(ImportError):
            _check_all(found.runs, suite)
        return
    _check_all(found.runs, suite)
    if spread is not None:
        work = work_of(found, networks, store, force=force)
        result = spread.carry_out(work)
        rows = result.state.rows
        failed = any(row.state != "done" for row in rows)
        _end(file, work.left_out, begun=bool(rows), done=result.n_recorded > 0, failed=failed)
        return
    done = _Done(found.unread)
    progress = Progress(steps_of(found))
    _train(found.runs, done, progress, force)
    _test_abroad(found.tests, done, progress)
    _probe(found, networks, store, done, progress, execution, force)
    done.end(file)


def _say_status(file: Path, only: str | None, seeds: str | None) -> None:
    from fer_bench.apps.suites.plan import keys_of
    from fer_bench.apps.suites.state import suite_folder
    from fer_bench.sweeps.suite import read

    keys = None
    if only or seeds:
        suite = read(file, None, _seeds(seeds))
        keys = keys_of(*_chosen(suite, file, only), list(suite.networks.values()))
    say_status(suite_folder(file), str(file), keys)


class _Done:
    """What was carried out of a suite, what failed, and what could not begin because its dataset is not here."""

    def __init__(self, unread: Mapping[str, MissingDataError]) -> None:
        self.unread = unread
        self.n_done = self.n_failed = 0
        self.left_out: dict[str, int] = {}
        self._said: set[str] = set()

    def lacks(self, *datasets: str) -> bool:
        """Whether something is left out; which datasets are missing is said already."""
        missing = next((name for name in datasets if name in self.unread), None)
        if missing is not None:
            self.left_out[missing] = self.left_out.get(missing, 0) + 1
        return missing is not None

    def failed(self, error: FerBenchError, what: str) -> None:
        """Say what failed, and why, each reason once; interruption ends the suite."""
        if error.exit_code > 2:
            raise error
        self.n_failed += 1
        # A run whose loss became NaN has run, and has a record.
        self.n_done += error.exit_code == 1
        text = str(error)
        typer.echo(f"  {what} failed: {'for the same reason' if text in self._said else text}", err=True)
        self._said.add(text)

    def end(self, file: Path) -> None:
        """As :func:`_end`."""
        begun = self.n_done + self.n_failed > 0
        _end(file, self.left_out, begun=begun, done=self.n_done > 0, failed=self.n_failed > 0)


def _end(file: Path, left_out: Mapping[str, int], *, begun: bool, done: bool, failed: bool) -> None:
    """Say what was left out, and with which code the command ends.

    Args:
        file: the suite.
        left_out: how much, by the dataset that is not here.
        begun: whether anything could be.
        done: whether anything was.
        failed: likewise.

    Raises:
        MissingDataError: nothing of it can be done.
        typer.Exit: something failed or was left out: 1, or 2 where nothing is done.
    """
    for dataset, n in left_out.items():
        typer.echo(f"  {n} left out, for {dataset} is not here", err=True)
    if left_out and not begun:
        problem = f"{file}: nothing of it can be done without {' and '.join(left_out)}."
        raise MissingDataError(problem, "Put the data where they are looked for (above), or name it by --data-dir.")
    if left_out or failed:
        raise typer.Exit(1 if done else 2)


def _chosen(suite: Suite, file: Path, only: str | None) -> tuple[Plan, list[ProbeSettings]]:
    def matches(entry: RunSpec | ProbeSettings) -> bool:
        return not only or any(only in name for name in (entry.recipe, entry.model, entry.protocol))

    plan = [(spec, on) for spec, on in suite.trainings if matches(spec)]
    grids = [grid for grid in suite.grids if matches(grid)]
    if plan or grids:
        return plan, grids
    entries: list[RunSpec | ProbeSettings] = [*(spec for spec, _ in suite.trainings), *suite.grids]
    names = [name for entry in entries for name in (entry.recipe, entry.model, entry.protocol) if name]
    raise unmatched("--only", str(only), str(file), "run" if suite.trainings else "grid", names)


def _list(file: Path, plan: Plan, grids: list[ProbeSettings], found: Todo, *, every: bool) -> None:
    """Say how much is done; and each thing, with whether it is."""
    from fer_bench.sweeps.suite import names_of

    parts = (
        [f"{counted(len(plan), 'run')}, {len(plan) - len(found.runs)} done, {len(found.runs)} to do."] if plan else []
    )
    if grids:
        n = counted(len(grids), "grid of heads", "grids of heads")
        parts += [f"{n}, {len(grids) - len(found.grids)} done, {len(found.grids)} to do."]
    parts += [f"{counted(len(found.networks), 'network')} to be trained for them."] if found.networks else []
    parts += [f"{counted(len(found.tests), 'test')} on other datasets to do."] if found.tests else []
    typer.echo(f"{file}: {' '.join(parts)}")
    for dataset, error in found.unread.items():
        typer.echo(f"  {dataset} is not here, so its runs are judged by their settings alone: {error}")
    if not every:
        return
    chosen = [spec for spec, _ in plan]
    for spec, name in zip(chosen, names_of(chosen), strict=True):
        typer.echo(f"  {_state(spec in found.runs)}  {spec.run_id()}  {spec.protocol}  seed {spec.seed}  {name}")
    for spec, dataset in found.tests:
        typer.echo(f"  {_state(True)}  {spec.run_id()}  tested on {dataset}")
    for spec in found.networks:
        typer.echo(f"  {_state(True)}  {spec.run_id()}  {spec.protocol}  seed {spec.seed}  {spec.model} (network)")
    for grid in grids:
        typer.echo(f"  {_state(grid in found.grids)}  {described(grid)}")


def _state(lacks: bool) -> str:
    return "to do" if lacks else "done "


def _check_all(specs: Iterable[RunSpec], suite: Suite) -> None:
    """Refuse a suite with a wrong name in it before its first run begins; what a single run lacks, such as its weights,
    must not cost the others.
    """
    for spec in specs:
        from fer_bench.training.build import check_names

        try:
            check_names(spec)
        except UnknownNameError as error:
            where = suite.where(spec, _SETTINGS.get(error.kind, error.kind))
            problem = f"{where}{f' ({spec.recipe})' if spec.recipe else ''}: {error.problem}"
            raise UnknownNameError(problem, error.hint, error.kind) from None
        except FerBenchError:
            continue


def _train(specs: list[RunSpec], done: _Done, progress: Progress, force: bool) -> None:
    from fer_bench.sweeps.suite import names_of

    for spec, name in zip(specs, names_of(specs), strict=True):
        if done.lacks(spec.dataset):
            continue
        typer.echo(progress.begin(run_step(spec), f"{name} seed {spec.seed}"))
        try:
            run_and_say(spec, force)
        except FerBenchError as error:
            done.failed(error, f"{name} seed {spec.seed}")
        else:
            progress.done()
            done.n_done += 1


def _test_abroad(tests: list[tuple[RunSpec, str]], done: _Done, progress: Progress) -> None:
    """Test networks on other datasets."""
    if not tests:
        return
    from fer_bench.apps.tracking import publish_records
    from fer_bench.leaderboard.render import render_all
    from fer_bench.results.places import folder_name
    from fer_bench.results.store import Store
    from fer_bench.sweeps.todo import DataInPlace, done_on_present
    from fer_bench.training.evaluate import evaluate

    store, data = Store(), DataInPlace()
    for spec, dataset in tests:
        if done.lacks(spec.dataset, dataset):
            continue
        typer.echo(progress.begin(test_step(spec, dataset), f"{spec.run_id()} on {dataset}"))
        # The network that was trained on the data that are there, not any of these settings.
        trained = done_on_present(spec, store, data)
        if trained is None or trained.status != "finished":
            typer.echo(f"  {spec.run_id()} not tested on {dataset}: it is not trained", err=True)
            continue
        reference = f"{trained.protocol}/{folder_name(trained.model)}/{trained.run_id}"
        try:
            record = evaluate(store, reference, dataset, execution=spec.execution)
        except FerBenchError as error:
            done.failed(error, f"{spec.run_id()} on {dataset}")
        else:
            progress.done()
            done.n_done += 1
            publish_records([record], store, spec.execution)
            typer.echo(f"  {record.run_id}: {record.protocol} on {counted(record.n_scored, 'sample')}")
    render_all(store)


def _probe(
    found: Todo,
    networks: list[RunSpec],
    store: Store,
    done: _Done,
    progress: Progress,
    execution: Mapping[str, Any],
    force: bool,
) -> None:
    """Train the networks that grids need and that are not on this machine, and then the grids."""
    if not found.grids:
        return
    from fer_bench.sweeps.todo import renamed

    grids = [grid for grid in found.grids if not done.lacks(grid.dataset)]
    run_ids: dict[str, str] = {}
    for spec in networks:
        name = f"run:{spec.run_id()}"
        needing = [grid for grid in grids if any(name in stream for stream in grid.streams)]
        if not needing:
            continue
        if spec.dataset in done.unread:
            grids = [grid for grid in grids if grid not in needing or not done.lacks(spec.dataset)]
            continue
        typer.echo(progress.begin(run_step(spec), f"network {spec.run_id()}: {spec.protocol} {spec.model}"))
        try:
            run_ids[name] = _network_here(spec, store)
            progress.done()
        except FerBenchError as error:
            needed = counted(len(needing), "grid needs", "grids need")
            done.failed(error, f"network {spec.run_id()}, which {needed},")
            grids = [grid for grid in grids if grid not in needing]
    place = {key: execution[key] for key in _OF_HEADS if key in execution}
    renamed_grids = [renamed(grid, run_ids) for grid in grids]
    done.n_done += run_grids(renamed_grids, place, force, failed=done.failed, progress=progress)


def _network_here(spec: RunSpec, store: Store) -> str:
    """Train a network, if it is not on this machine; returns the id of its record."""
    from fer_bench.apps.tracking import publish
    from fer_bench.results.begin import find_checkpoint
    from fer_bench.training.run import run

    record = run(spec, store, publish=publish)
    if not find_checkpoint(spec, record).is_file():
        # A record without its checkpoint came with the repository: the network has to be trained here once more.
        record = run(spec, store, force=True, publish=publish)
    return record.run_id


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or not all(0 <= seed < 2**31 for seed in seeds):
        problem = f"--seeds {text!r}: expected integers from 0 to {2**31 - 1} with commas between them."
        raise SpecError(problem, "For example --seeds 0,1,2.")
    return seeds
