"""Verbs that train: ``run`` and ``suite``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fer_bench.apps.runs import carry_out, compose, gathered
from fer_bench.errors import FerBenchError, SpecError, UnknownNameError
from fer_bench.layering import merge
from fer_bench.registry import unmatched

Opt = typer.Option


def add_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("run")(run_verb)
    app.command("suite")(suite_verb)


def run_verb(
    dataset: Annotated[
        str | None, Opt(help="Dataset: synthfaces, fer2013, ferplus, folder:NAME, table:FILE, ...")
    ] = None,
    model: Annotated[str | None, Opt(help="Network: five_layer_cnn, resnext101, timm:<name>, ...")] = None,
    task: Annotated[str | None, Opt(help="Task: fer7, fer8, ...")] = None,
    seed: Annotated[int | None, Opt(help="Seed of everything random.")] = None,
    epochs: Annotated[int | None, Opt(help="Epochs.")] = None,
    batch_size: Annotated[int | None, Opt(help="Effective batch over all devices.")] = None,
    lr: Annotated[float | None, Opt(help="(Peak) learning rate.")] = None,
    weights: Annotated[
        str | None,
        Opt(
            help="imagenet (a folder's, a package's or a hub's), none, auto (imagenet where it can be had), or a file."
        ),
    ] = None,
    loss: Annotated[str | None, Opt(help="Loss by name.")] = None,
    augment: Annotated[str | None, Opt(help="Augmentation by name.")] = None,
    augment_on: Annotated[
        str | None, Opt(help="device (batch by batch) or loader (image by image, by albumentations).")
    ] = None,
    tta: Annotated[int | None, Opt(help="Views of test-time augmentation.")] = None,
    tta_kind: Annotated[str | None, Opt(help="random, flip, five_crop or ten_crop.")] = None,
    precision: Annotated[str | None, Opt(help="auto, 32-true, bf16-mixed or 16-mixed.")] = None,
    labels: Annotated[
        str | None,
        Opt(help="A label file (a consensus of raters) that replaces the labels of the training images it names."),
    ] = None,
    folds: Annotated[int | None, Opt(help="Cross-validate: run this many folds as one experiment.")] = None,
    fold_by: Annotated[str | None, Opt(help="What folds keep together: identity, clip or frame (leaky).")] = None,
    recipe: Annotated[str | None, Opt(help="A short name of these settings for the leaderboard.")] = None,
    use: Annotated[
        str | None,
        Opt(
            help="Settings of a recipe instead of the defaults: SUITE/RECIPE or its digest (`fer-bench list recipes`)."
        ),
    ] = None,
    dry_run: Annotated[
        bool, Opt("--dry-run", help="Only say what the run would be, and how long it would take here.")
    ] = False,
    data_dir: Annotated[str | None, Opt(help="Where the data is.")] = None,
    accelerator: Annotated[str | None, Opt(help="auto, cpu, cuda or mps.")] = None,
    devices: Annotated[int | None, Opt(help="Devices per node.")] = None,
    strategy: Annotated[str | None, Opt(help="Lightning's strategy: auto, ddp, ...")] = None,
    num_nodes: Annotated[int | None, Opt(help="Nodes.")] = None,
    workers: Annotated[int | None, Opt(help="Loader processes; -1 chooses.")] = None,
    wandb: Annotated[str | None, Opt(help="off, offline or online.")] = None,
    force: Annotated[bool, Opt("--force", help="Repeat a run whose record exists.")] = False,
    sets: Annotated[list[str] | None, Opt("--set", metavar="KEY=VALUE", help="Any other setting; repeatable.")] = None,
) -> None:
    """Train, select on validation, test once, score, write the record, and render the leaderboard."""
    from fer_bench import spec as specs

    flags = gathered(
        {
            "dataset": dataset,
            "model": model,
            "task": task,
            "seed": seed,
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": lr,
            "weights": weights,
            "loss": loss,
            "augment": augment,
            "augment_on": augment_on,
            "tta": tta,
            "tta_kind": tta_kind,
            "precision": precision,
            "recipe": recipe,
            "labels": labels,
            "folds": folds,
            "fold_by": fold_by,
            "data_dir": data_dir,
            "accelerator": accelerator,
            "devices": devices,
            "strategy": strategy,
            "num_nodes": num_nodes,
            "workers": workers,
            "wandb": wandb,
        }
    )
    spec = compose(merge(flags, specs.parse_assignments(sets or [])), use=use, keep=not dry_run, say=typer.echo)
    if dry_run:
        _describe(spec)
        return
    _run(spec, force)


def _describe(spec: Any) -> None:
    from fer_bench.results.store import Store
    from fer_bench.sweeps.folds import fold_specs, is_experiment
    from fer_bench.training.dry_run import describe_run

    for line in describe_run(spec, Store(), folds=fold_specs(spec) if is_experiment(spec) else ()):
        typer.echo(line)


def suite_verb(
    file: Annotated[Path, typer.Argument(help="A suite: a YAML file, or the name of one in benchmarks/suites.")],
    dry_run: Annotated[bool, Opt("--dry-run", help="Only list what would be done.")] = False,
    data_dir: Annotated[str | None, Opt(help="Where the data lies.")] = None,
    accelerator: Annotated[str | None, Opt(help="auto, cpu, cuda or mps.")] = None,
    devices: Annotated[int | None, Opt(help="Devices per node.")] = None,
    workers: Annotated[int | None, Opt(help="Loader processes; -1 chooses.")] = None,
    only: Annotated[str | None, Opt(help="Only runs whose recipe or model contains this.")] = None,
    seeds: Annotated[str | None, Opt(help="Replace the suite's seeds: 0,1,2.")] = None,
) -> None:
    """Do every run of a suite that the store lacks; a suite of probes too, as `fer-bench probe` does."""
    from fer_bench.results.store import Store
    from fer_bench.sweeps.grid import is_of_probes, names_of, read_plan
    from fer_bench.sweeps.todo import todo as compare

    if is_of_probes(file):
        from fer_bench.cli.probe import run_probe_suite

        if devices is not None or workers is not None:
            problem = f"{file} is a suite of probes, whose heads train on one device."
            raise SpecError(problem, "Leave --devices and --workers out.")
        run_probe_suite(
            file,
            {"seeds": chosen_seeds} if (chosen_seeds := _seeds(seeds)) else {},
            data_dir,
            accelerator,
            only,
            dry_run,
            force=False,
        )
        return
    plan = read_plan(
        file, _given(data_dir=data_dir, accelerator=accelerator, devices=devices, workers=workers), _seeds(seeds)
    )
    if only:
        kept = [(spec, on) for spec, on in plan if only in spec.recipe or only in spec.model]
        if not kept:
            raise unmatched(
                "--only",
                only,
                str(file),
                "run",
                [name for spec, _ in plan for name in (spec.model, spec.recipe) if name],
            )
        plan = kept
    chosen = [spec for spec, _ in plan]
    found = compare(plan, Store())
    todo, tests = found.runs, found.tests
    names = dict(zip((spec.run_id() for spec in chosen), names_of(chosen), strict=True))
    also = f" {len(tests)} tests on other datasets to do." if tests else ""
    typer.echo(f"{file}: {len(chosen)} runs, {len(chosen) - len(todo)} done, {len(todo)} to do.{also}")
    for dataset, problem in found.unread.items():
        typer.echo(f"  {dataset} is not here, so its runs are judged by their settings alone: {problem}")
    if dry_run:
        for spec in todo:
            typer.echo(f"  {spec.run_id()}  {spec.protocol}  seed {spec.seed}  {names[spec.run_id()]}")
        for spec, dataset in tests:
            typer.echo(f"  {spec.run_id()}  tested on {dataset}")
        return
    _check_all(todo, file)
    failures = 0
    for number, spec in enumerate(todo, start=1):
        typer.echo(f"[{number}/{len(todo)}] {names[spec.run_id()]} seed {spec.seed}")
        try:
            _run(spec, force=False)
        except FerBenchError as error:
            # One bad run must not cost the others; interruption ends the suite.
            if error.exit_code > 2:
                raise
            failures += 1
            typer.echo(f"  failed: {error}", err=True)
    failures += _test_abroad(tests)
    if failures:
        raise typer.Exit(1)


def _check_all(specs: list[Any], file: Path) -> None:
    """Refuse a suite with a wrong name in it before its first run begins; what a single run lacks, such as its weights,
    must not cost the others.
    """
    from fer_bench.training.build import check_names

    for spec in specs:
        try:
            check_names(spec)
        except UnknownNameError as error:
            problem = f"{file}, {spec.model}{f' ({spec.recipe})' if spec.recipe else ''}: {error.problem}"
            raise UnknownNameError(problem, error.hint) from None
        except FerBenchError:
            continue


def _test_abroad(tests: list[tuple[Any, str]]) -> int:
    """Test networks on other datasets; returns how many could not be."""
    from fer_bench.leaderboard.render import render_all
    from fer_bench.results.store import Store, folder_name
    from fer_bench.sweeps.todo import DataInPlace, done_on_present
    from fer_bench.training.evaluate import evaluate

    store, data, failures = Store(), DataInPlace(), 0
    for spec, dataset in tests:
        # The network that was trained on the data that are there, not any of these settings.
        trained = done_on_present(spec, store, data)
        if trained is None or trained.status != "finished":
            typer.echo(f"  {spec.run_id()} not tested on {dataset}: it is not trained", err=True)
            continue
        try:
            record = evaluate(
                store,
                f"{trained.protocol}/{folder_name(trained.model)}/{trained.run_id}",
                dataset,
                execution=spec.execution,
            )
        except FerBenchError as error:
            if error.exit_code > 2:
                raise
            failures += 1
            typer.echo(f"  {spec.run_id()} on {dataset} failed: {error}", err=True)
        else:
            typer.echo(f"  {record.run_id}: {record.protocol} on {record.n_scored} samples")
    if tests:
        render_all(store)
    return failures


def _run(spec: Any, force: bool) -> None:
    from fer_bench.results.store import Store
    from fer_bench.sweeps.folds import describe

    store = Store()
    record = carry_out(spec, store, force=force)
    primary = _primary(record.protocol, record.dataset, record.task)
    value = record.metrics.get(primary)
    shown = (
        describe(record, primary) if record.data.get("folds") else f"{value:.4f}" if isinstance(value, float) else "-"
    )
    typer.echo(f"{record.run_id}: {record.protocol} {record.model}: {shown} on {record.n_scored} test samples")
    typer.echo(f"record      {store.path(record.protocol, record.model, record.run_id)}")
    typer.echo(f"leaderboard {store.root / (record.protocol + '.md')}")


def _primary(protocol: str, dataset: str, task: str) -> str:
    from fer_bench.protocols import protocol_named

    return protocol_named(protocol, dataset, task).primary


def _given(**flags: Any) -> dict[str, Any]:
    return {key: value for key, value in flags.items() if value is not None}


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        problem = f"--seeds {text!r}: expected integers with commas between them."
        raise SpecError(problem, "For example --seeds 0,1,2.") from None
