"""Verbs over frozen backbones: ``probe`` (linear heads) and ``fuse`` (late fusion). PyTorch is imported only when a
grid has to be trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fer_bench.errors import FerBenchError, SpecError
from fer_bench.own_data import TABLE, find_table
from fer_bench.registry import unmatched
from fer_bench.spec import dataset_options

Opt = typer.Option
_DATASET = Annotated[str | None, Opt(help="Dataset: synthscenes, findingemo, ...")]
_TASK = Annotated[str | None, Opt(help="Task: emo8, arousal3, valence3, ...")]
_WEIGHTS = Annotated[
    list[str] | None,
    Opt("--weights", metavar="[BACKBONE=]FILE", help="none, or the path of a weights file; repeatable."),
]
_LR = Annotated[str | None, Opt(help="Comma-separated learning rates.")]
_LOSS = Annotated[str | None, Opt(help="Comma-separated losses.")]
_SEEDS = Annotated[str | None, Opt(help="Seeds: 0,1,2.")]
_EPOCHS = Annotated[int | None, Opt(help="Maximum number of epochs of a head.")]
_RECIPE = Annotated[str | None, Opt(help="A short name of these settings for the leaderboard.")]
_SETS = Annotated[
    list[str] | None, Opt("--set", metavar="KEY=VALUE", help="dataset_options of the dataset, such as its classes.")
]
_DATA_DIR = Annotated[str | None, Opt(help="Dataset root directory.")]
_ACCELERATOR = Annotated[str | None, Opt(help="auto, cpu, cuda or mps.")]
_DRY = Annotated[bool, Opt("--dry-run", help="Only list what would be done.")]
_FORCE = Annotated[bool, Opt("--force", help="Repeat a grid whose records exist.")]


def add_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("probe")(probe_verb)
    app.command("fuse")(fuse_verb)


def probe_verb(
    suite: Annotated[
        Path | None, typer.Argument(help="A suite of grids: a YAML file, or the name of one in benchmarks/suites.")
    ] = None,
    dataset: _DATASET = None,
    task: _TASK = None,
    backbone: Annotated[
        str | None, Opt(help="resnet18, resnet18-places365, emonet-kragel, timm:<name>, run:<run id>, ...")
    ] = None,
    run: Annotated[str | None, Opt(help="A run of this suite, whose network is the backbone.")] = None,
    weights: _WEIGHTS = None,
    lr: _LR = None,
    loss: _LOSS = None,
    seeds: _SEEDS = None,
    epochs: _EPOCHS = None,
    recipe: _RECIPE = None,
    data_dir: _DATA_DIR = None,
    accelerator: _ACCELERATOR = None,
    sets: _SETS = None,
    only: Annotated[str | None, Opt(help="Of a suite, only grids whose model or protocol contains this.")] = None,
    dry_run: _DRY = False,
    force: _FORCE = False,
) -> None:
    """Train every linear head of a grid on a frozen backbone's features, choose on validation, test once. A suite's own
    networks are trained before that.
    """
    from fer_bench.probes.settings import build_probe, with_dataset_defaults
    from fer_bench.sweeps.grid import is_of_probes

    over = _settings(dataset, task, weights, lr, loss, seeds, epochs, recipe, backbone, sets, data_dir)
    if suite is not None:
        if not is_of_probes(suite):
            problem = f"{suite} is a suite of runs, not of probes."
            raise SpecError(problem, f"Type: fer-bench suite {suite}")
        run_probe_suite(suite, over, data_dir, accelerator, only, dry_run, force)
        return
    name = f"run:{run}" if run else backbone
    if name is None:
        problem = "probe needs a suite or a backbone."
        raise SpecError(problem, "For example `fer-bench probe findingemo_baselines`, or --backbone resnet18.")
    _check_weights(over, [name])
    grids = [build_probe(with_dataset_defaults({**over, "streams": [f"features:{name}"]}), "the command line")]
    _run(grids, data_dir, accelerator, dry_run, force)


def run_probe_suite(
    suite: Path,
    over: dict[str, Any],
    data_dir: str | None,
    accelerator: str | None,
    only: str | None,
    dry_run: bool,
    force: bool,
) -> None:
    """Train what a suite of probes asks for: its networks, then its grids.

    Args:
        suite: path or name.
        over: settings that count more than the suite's.
        data_dir: data root.
        accelerator: as :func:`probe_verb`.
        only: a part of a model's or protocol's name.
        dry_run: only list.
        force: repeat grids that are there.
    """
    from fer_bench.probes.settings import read_networks, read_probe_suite

    every = read_probe_suite(suite, over)
    grids = [grid for grid in every if not only or only in grid.model or only in grid.protocol]
    if not grids:
        raise unmatched(
            "--only", str(only), str(suite), "grid", [name for grid in every for name in (grid.model, grid.protocol)]
        )
    grids = _train(list(read_networks(suite).values()), grids, data_dir, accelerator, dry_run)
    _run(grids, data_dir, accelerator, dry_run, force)


def fuse_verb(
    streams: Annotated[
        list[str],
        typer.Argument(help="Two or more of features:NAME, predictions:NAME, emo8:NAME, task:NAME, faces:NAME."),
    ],
    dataset: _DATASET = None,
    task: _TASK = None,
    weights: _WEIGHTS = None,
    lr: _LR = None,
    loss: _LOSS = None,
    seeds: _SEEDS = None,
    epochs: _EPOCHS = None,
    recipe: _RECIPE = None,
    data_dir: _DATA_DIR = None,
    accelerator: _ACCELERATOR = None,
    sets: _SETS = None,
    dry_run: _DRY = False,
    force: _FORCE = False,
) -> None:
    """Late fusion: a linear head on several streams side by side, each standardised on train."""
    from fer_bench.probes.settings import build_probe, with_dataset_defaults

    if len(streams) < 2:
        problem = f"fuse needs two streams or more, not {streams[0]!r} alone."
        raise SpecError(problem, "Name another, or type `fer-bench probe --backbone NAME` for one.")
    over = _settings(
        dataset, task, weights, lr, loss, seeds, epochs, recipe, streams[0].partition(":")[2], sets, data_dir
    )
    # For its fusions the paper trains with plain cross-entropy only.
    settings = {"loss": ["cross_entropy"], **over, "streams": streams, "standardise": True}
    _check_weights(over, [stream.partition(":")[2] for stream in streams])
    _run([build_probe(with_dataset_defaults(settings), "the command line")], data_dir, accelerator, dry_run, force)


def _train(
    specs: list[Any], grids: list[Any], data_dir: str | None, accelerator: str | None, dry_run: bool
) -> list[Any]:
    """Train the networks that the grids need and that are not on this machine; the grids name them as they are
    recorded, which depends on the data.
    """
    from fer_bench.results.begin import run_folder

    for given in specs:
        spec = given.model_copy(
            update={
                "execution": given.execution.model_copy(
                    update={"data_dir": data_dir, "accelerator": accelerator or "auto"}
                )
            }
        )
        if not any(f"run:{spec.run_id()}" in stream for grid in grids for stream in grid.streams):
            continue
        typer.echo(f"network {spec.run_id()}: {spec.protocol} {spec.model}")
        if not dry_run:
            from fer_bench.training.run import run

            record = run(spec)
            if not (run_folder(spec, record) / f"{spec.snapshot}.ckpt").is_file():
                # A record without its checkpoint came with the repository: the network has to be trained here once
                # more.
                run(spec, force=True)
            named = (f"run:{spec.run_id()}", f"run:{record.run_id}")
            grids = [
                grid.model_copy(update={"streams": tuple(stream.replace(*named) for stream in grid.streams)})
                for grid in grids
            ]
    return grids


def _run(grids: list[Any], data_dir: str | None, accelerator: str | None, dry_run: bool, force: bool) -> None:
    if dry_run:
        for grid in grids:
            heads = len(grid.lr) * len(grid.loss) * len(grid.seeds)
            typer.echo(f"{grid.protocol}  {grid.model}  {heads} heads  {grid.recipe}".rstrip())
        return
    from fer_bench.leaderboard.render import render_all
    from fer_bench.probes.grid import run_grid, table
    from fer_bench.protocols import protocol_for
    from fer_bench.results.store import Store
    from fer_bench.training.hardware import keep_freed_memory

    keep_freed_memory()
    store, place, failures = Store(), _place(accelerator), 0
    for number, grid in enumerate(grids, start=1):
        typer.echo(f"[{number}/{len(grids)}] {grid.protocol} {grid.model}")
        try:
            records = run_grid(grid, store, place=place, data_dir=data_dir, force=force)
        except FerBenchError as error:
            # One backbone without weights must not cost the others.
            if len(grids) == 1 or error.exit_code > 2:
                raise
            failures += 1
            typer.echo(f"  failed: {error}", err=True)
            continue
        primary = protocol_for(grid.dataset, grid.task).primary
        for lr, loss, validation, test, std, n in table(records, primary):
            typer.echo(
                f"  lr {lr:<7g} {loss:25s} {primary}: validation {_number(validation)}, test {_number(test)} ±"
                f" {_number(std)} over {n} seeds"
            )
        chosen = sorted({(record.recipe, record.row) for record in records if record.ranked})
        typer.echo("\n".join(f"  {recipe}: row {row}" for recipe, row in chosen))
        typer.echo(f"leaderboard {store.root / (grid.protocol + '.md')}")
    render_all(store)
    if failures:
        raise typer.Exit(1)


def _place(accelerator: str | None) -> Any:
    from fer_bench.probes.features import Place
    from fer_bench.spec import RunSpec
    from fer_bench.training import hardware

    device = hardware.resolve(RunSpec.model_validate({"execution": {"accelerator": accelerator or "auto"}}))
    return Place(device.device, device.precision, device.workers)


def _check_weights(settings: dict[str, Any], backbones: list[str]) -> None:
    """Refuse weights for a backbone that is not asked for."""
    from fer_bench.registry import unknown_name

    for name in settings.get("weights", {}):
        if name not in backbones:
            kind = "backbone of --weights"
            raise unknown_name(kind, name, backbones)


def _settings(
    dataset: str | None,
    task: str | None,
    weights: list[str] | None,
    lr: str | None,
    loss: str | None,
    seeds: str | None,
    epochs: int | None,
    recipe: str | None,
    backbone: str | None,
    sets: list[str] | None,
    data_dir: str | None,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "dataset": dataset,
        "task": task,
        "max_epochs": epochs,
        "recipe": recipe,
        "dataset_options": dataset_options(sets) or None,
    }
    if dataset is not None and dataset.startswith(TABLE):
        name, path = find_table(dataset, data_dir)
        found |= {"dataset": name, "table_file": None if path is None else str(path)}
    if lr is not None:
        found["lr"] = _numbers("--lr", lr, float)
    if seeds is not None:
        found["seeds"] = _numbers("--seeds", seeds, int)
    if loss is not None:
        found["loss"] = loss.split(",")
    files = {}
    for entry in weights or []:
        name, equals, file = entry.partition("=")
        files[name if equals else backbone or ""] = file if equals else entry
    if files:
        found["weights"] = files
    return {key: value for key, value in found.items() if value is not None}


def _numbers(flag: str, text: str, kind: type) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        problem = f"{flag} {text!r}: expected comma-separated numbers."
        raise SpecError(problem, f"For example {flag} {'0,1,2' if kind is int else '0.01,0.001'}.") from None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
