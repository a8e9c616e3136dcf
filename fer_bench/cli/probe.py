"""Verbs over frozen networks: ``probe`` (linear heads) and ``fuse`` (late fusion). PyTorch is imported only when a grid
has to be trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fer_bench.assignments import parse_assignments
from fer_bench.cli.flags import CONTEXT, FIELDS, SETTINGS, Grouped, agreed, typed, with_fields
from fer_bench.cli.grids import described, run_grids
from fer_bench.errors import SpecError
from fer_bench.own_data import TABLE, find_table
from fer_bench.probes.settings import BOTH_LOSSES, ProbeSettings, build_probe, with_dataset_defaults
from fer_bench.spec import Execution

Opt = typer.Option
# Those of a backbone's weights have a form of their own.
_FIELDS = with_fields(
    ProbeSettings,
    {"dataset": "Data and input", "lr": "Heads"},
    leave=("streams", "weights", "weights_files", "table_file"),
    called={"max_epochs": "epochs"},
)
# Where heads are trained, and where they are tracked.
_PLACE_FIELDS = ("data_dir", "accelerator", *FIELDS)
_PLACE = with_fields(Execution, "Where (changes no result)", only=_PLACE_FIELDS)
_WEIGHTS = Annotated[
    list[str] | None,
    Opt(
        "--weights",
        metavar="[NAME=]FILE",
        rich_help_panel="Data and input",
        help="Of a backbone: none, or the path of a weights file. Repeatable.",
    ),
]
_DRY = Annotated[bool, Opt("--dry-run", help="Only list what would be done.")]
_FORCE = Annotated[bool, Opt("--force", help="Repeat a grid whose records exist.")]


def add_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("probe", cls=Grouped, context_settings=CONTEXT)(probe_verb)
    app.command("fuse", cls=Grouped, context_settings=CONTEXT)(fuse_verb)


@_FIELDS
@_PLACE
def probe_verb(
    suite: Annotated[Path | None, typer.Argument(hidden=True)] = None,
    backbone: Annotated[
        str | None, Opt(metavar="TEXT", help="resnet18, resnet18-places365, emonet-kragel, timm:NAME, run:ID, ...")
    ] = None,
    run: Annotated[str | None, Opt(metavar="ID", help="A run of this suite, whose network is the backbone.")] = None,
    weights: _WEIGHTS = None,
    only: Annotated[str | None, Opt(hidden=True)] = None,
    dry_run: _DRY = False,
    force: _FORCE = False,
    sets: SETTINGS = None,
    **flags: Any,
) -> None:
    """Train every linear head of a grid on a frozen backbone's features, choose on validation, test once. Suites of
    grids are carried out by `fer-bench suite`.
    """
    if suite is not None:
        given = [key for key, value in flags.items() if value not in (None, [])] + (["backbone"] if backbone else [])
        _forward(suite, flags, only, dry_run=dry_run, force=force, given=given)
        return
    name = f"run:{run}" if run else backbone
    if name is None or only is not None:
        problem = "probe needs a backbone." if name is None else "--only is of suites."
        raise SpecError(
            problem, "For example --backbone resnet18; for a suite, `fer-bench suite findingemo_baselines`."
        )
    settings, place = _settings(flags, sets, weights, backbone or "")
    _check_weights(settings, [name])
    settings["streams"] = [f"features:{name}"]
    _carry_out(settings, place, dry_run=dry_run, force=force)


def _forward(
    suite: Path, flags: dict[str, Any], only: str | None, *, dry_run: bool, force: bool, given: list[str]
) -> None:
    """Carry out a suite of grids, as this verb did before `suite` could."""
    from fer_bench.cli.suite import carry_out_suite
    from fer_bench.sweeps.suite import read

    if not read(suite).grids:
        problem = f"{suite} is a suite of runs, not of probes."
        raise SpecError(problem, f"Type: fer-bench suite {suite}")
    if own := [key for key in given if key not in ("seeds", *_PLACE_FIELDS)]:
        problem = f"--{own[0].replace('_', '-')} is said by the suite {suite}."
        raise SpecError(problem, f"Change a copy of the file, and type: fer-bench suite {suite}")
    place = typed(Execution, {key: flags[key] for key in _PLACE_FIELDS})
    carry_out_suite(suite, place, only, flags["seeds"], dry_run=dry_run, force=force)


@_FIELDS
@_PLACE
def fuse_verb(
    streams: Annotated[
        list[str],
        typer.Argument(help="Two or more of features:NAME, predictions:NAME, emo8:NAME, task:NAME, faces:NAME."),
    ],
    weights: _WEIGHTS = None,
    dry_run: _DRY = False,
    force: _FORCE = False,
    sets: SETTINGS = None,
    **flags: Any,
) -> None:
    """Late fusion: a linear head on several streams side by side, each standardised on train."""
    if len(streams) < 2:
        problem = f"fuse needs two streams or more, not {streams[0]!r} alone."
        raise SpecError(problem, "Name another, or type `fer-bench probe --backbone NAME` for one.")
    settings, place = _settings(flags, sets, weights, streams[0].partition(":")[2])
    _check_weights(settings, [stream.partition(":")[2] for stream in streams])
    settings = {"standardise": True, **settings, "streams": streams}
    if "loss" not in settings and with_dataset_defaults(settings).get("loss", BOTH_LOSSES) == BOTH_LOSSES:
        # For its fusions the paper trains with plain cross-entropy only.
        settings["loss"] = BOTH_LOSSES[:1]
    _carry_out(settings, place, dry_run=dry_run, force=force)


def _settings(
    flags: dict[str, Any], sets: list[str] | None, weights: list[str] | None, backbone: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a grid that were typed, and where it is carried out."""
    place = typed(Execution, {key: flags.pop(key) for key in _PLACE_FIELDS})
    found = agreed(typed(ProbeSettings, flags), parse_assignments(sets or [], ProbeSettings))
    if str(found.get("dataset", "")).startswith(TABLE):
        name, path = find_table(found["dataset"], place.get("data_dir"))
        found |= {"dataset": name, "table_file": None if path is None else str(path)}
    files = {}
    for entry in weights or []:
        name, equals, file = entry.partition("=")
        files[name if equals else backbone] = file if equals else entry
    return found | ({"weights": files} if files else {}), place


def _carry_out(settings: dict[str, Any], place: dict[str, Any], *, dry_run: bool, force: bool) -> None:
    grid = build_probe(with_dataset_defaults(settings), "the command line")
    if dry_run:
        typer.echo(described(grid))
        return
    run_grids([grid], place, force)


def _check_weights(settings: dict[str, Any], backbones: list[str]) -> None:
    """Refuse weights for a backbone that is not asked for."""
    from fer_bench.registry import unknown_name

    for name in settings.get("weights", {}):
        if name not in backbones:
            kind = "backbone of --weights"
            raise unknown_name(kind, name, backbones)
