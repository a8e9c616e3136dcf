"""Verbs over stored predictions: ``ensemble`` and ``human-baseline``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench.cli.flags import CONTEXT, FIELDS, TRACKING, Grouped, tracking_of, typed, with_fields
from fer_bench.counting import counted
from fer_bench.errors import SpecError, UnknownNameError
from fer_bench.metrics import HEADLINE, decimals
from fer_bench.registry import unknown_name
from fer_bench.spec import Execution

if TYPE_CHECKING:
    from fer_bench.ensembles.members import Pool
    from fer_bench.protocols import Protocol
    from fer_bench.results.record import Record
    from fer_bench.results.store import Store

Opt = typer.Option


def add_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("ensemble", cls=Grouped, context_settings=CONTEXT)(ensemble_verb)
    app.command("human-baseline")(human_baseline_verb)
    app.command("humans", hidden=True)(human_baseline_verb)  # Its first name; scripts may use it.


@with_fields(Execution, TRACKING, only=FIELDS)
def ensemble_verb(
    protocol: Annotated[str, Opt(help="Protocol: fer2013-fer7, ...; `fer-bench list protocols`.")],
    members: Annotated[
        list[str] | None,
        Opt(help="Run ids, repeatable or separated by commas; without it every trained record that can be ranked."),
    ] = None,
    top_k: Annotated[
        str | None, Opt(help="Only this many of the best, or 'best': the number that scores best together.")
    ] = None,
    rule: Annotated[
        str | None,
        Opt(help="Of classes: majority, weighted or soft (default). Of values: mean (default) or weighted_mean."),
    ] = None,
    order: Annotated[
        str, Opt(help="Split whose score orders members: validation, or test (marked: selected on test).")
    ] = "validation",
    selection: Annotated[
        str | None,
        Opt(
            help=(
                "greedy (Caruana et al. 2004), mixture (of classes: weights by likelihood) or stack (logistic"
                " regression, of values ridge regression), on validation."
            )
        ),
    ] = None,
    bags: Annotated[int, Opt(help="Bags of the greedy selection.")] = 0,
    kind: Annotated[
        str, Opt(help="Where no members are named: trained networks, or probe, the heads of grids.")
    ] = "trained",
    model: Annotated[list[str] | None, Opt(help="Only members of this model; repeatable.")] = None,
    recipe: Annotated[list[str] | None, Opt(help="Only members of this recipe; repeatable.")] = None,
    seed: Annotated[list[int] | None, Opt(help="Only members of this seed; repeatable.")] = None,
    tta: Annotated[bool, Opt("--tta/--no-tta", help="Whether rows with test-time augmentation may be members.")] = True,
    accelerator: Annotated[
        list[str] | None, Opt(help="Only members trained on this: cpu, cuda or mps; repeatable.")
    ] = None,
    compare: Annotated[
        bool,
        Opt("--compare", help="Build nothing: score every rule on validation samples that were not used to choose it."),
    ] = False,
    **tracking: Any,
) -> None:
    """Combine stored predictions into an ensemble, score it, and render the leaderboard. Trains nothing."""
    from fer_bench.apps.tracking import publish_records
    from fer_bench.ensembles.build import build_ensemble, check_protocol
    from fer_bench.ensembles.ensemble_record import validation_score_of
    from fer_bench.ensembles.members import Pool
    from fer_bench.leaderboard.render import render_all
    from fer_bench.results.store import Store

    execution = tracking_of(typed(Execution, tracking))
    store = Store()
    named = [part.strip() for entry in members or [] for part in entry.split(",") if part.strip()]
    pool = Pool(tuple(model or ()), tuple(recipe or ()), tuple(seed or ()), tta, tuple(accelerator or ()), kind)
    store.borrow(protocol)
    chosen = _protocol(store, protocol)
    check_protocol(chosen)
    _check_filters(store, chosen, pool)
    if compare:
        _compare(store, chosen, named or None, pool)
        return
    # Unknown rules and the like are refused by name further down.
    options: dict[str, Any] = {"rule": rule, "order": order, "selection": selection}
    record = build_ensemble(store, chosen, named or None, _top_k(top_k), **options, pool=pool, bags=bags)
    render_all(store)
    publish_records([record], store, execution)
    value, before = record.metrics[chosen.primary], validation_score_of(record, chosen.primary)
    typer.echo(
        f"{record.run_id}: {record.protocol} {record.model} ({record.recipe}): {decimals(value)} on {record.n_scored}"
        f" test samples, {decimals(before)} on validation{', which it was fitted to' if selection else ''}"
    )
    headline = HEADLINE[chosen.task.kind]
    for entry in record.training["members"]:
        typer.echo(
            f"  {entry['model']}/{entry['run_id']}  weight {entry['weight']:.4g}  validation"
            f" {decimals(entry[f'validation_{headline}'])}"
        )
    _say_gain(store, record, chosen)
    typer.echo(f"record      {store.path(record.protocol, record.model, record.run_id)}")
    typer.echo(f"figure      {store.folder(record) / (record.run_id + '.curve.png')}")
    typer.echo(f"leaderboard {store.root / (record.protocol + '.md')}")


def _check_filters(store: Store, protocol: Protocol, pool: Pool) -> None:
    """Refuse a filter that no record of the protocol has, by name."""
    from fer_bench.ensembles.members import KINDS
    from fer_bench.registry import unmatched

    if pool.kind not in KINDS:
        what = "kind of members"
        raise unknown_name(what, pool.kind, KINDS)
    trained = [record for record in store.records(protocol.name) if record.kind == pool.kind]
    asked = (
        ("--model", pool.models, [record.model for record in trained]),
        ("--recipe", pool.recipes, [record.recipe for record in trained if record.recipe]),
        ("--seed", tuple(map(str, pool.seeds)), [str(record.seed) for record in trained]),
        (
            "--accelerator",
            pool.accelerators,
            [str(record.hardware["accelerator"]) for record in trained if record.hardware.get("accelerator")],
        ),
    )
    for flag, wanted, known in asked:
        for name in wanted:
            if name not in known:
                raise unmatched(flag, name, protocol.name, "head" if pool.kind == "probe" else "trained run", known)


def _say_gain(store: Store, record: Record, protocol: Protocol) -> None:
    """One line: how far the ensemble is ahead of its best member on test. It is said after the record is written, and
    decides nothing.
    """
    from fer_bench.results.places import folder_name

    asked = [entry for entry in record.training["members"] if entry["weight"]]
    members = [store.get(f"{record.protocol}/{folder_name(entry['model'])}/{entry['run_id']}") for entry in asked]
    sign = 1 if protocol.higher_is_better else -1
    best = max(members, key=lambda member: sign * float(member.metrics[protocol.primary]))
    if record.metrics[protocol.primary] is None:
        return
    gain = record.metrics[protocol.primary] - best.metrics[protocol.primary]
    typer.echo(
        f"gain        {gain:+.4f} over its best member on test, {best.model}/{best.run_id}"
        f" ({best.metrics[protocol.primary]:.4f}); is it significant? fer-bench compare {record.run_id} {best.run_id}"
    )


def _compare(store: Store, protocol: Protocol, named: list[str] | None, pool: Pool) -> None:
    """One line for each way of joining the members, and its score on held-out validation samples."""
    from fer_bench.ensembles.members import find_members, load_validation, parts_of
    from fer_bench.ensembles.strategies import held_out_score, ways_of

    records = find_members(store, protocol, named, pool)
    sets = [load_validation(store, protocol, part) for part in parts_of(store, protocol, records)]
    folds = "" if len(sets) == 1 else f" of each of the {len(sets)} folds"
    typer.echo(
        f"{protocol.name}: {counted(len(records), 'member')}; {protocol.primary} on validation samples{folds} held out"
        " from the choice (mean of three times five parts)"
    )
    for way in ways_of(protocol.task.kind):
        scores = [held_out_score(validation, protocol.primary, way, repeats=3) for validation in sets]
        typer.echo(f"  {sum(scores) / len(scores):.4f}  {way.flags}")


def human_baseline_verb(
    dataset: Annotated[str, typer.Argument(help="ferplus: the dataset that comes with votes.")] = "ferplus",
    data_dir: Annotated[str | None, Opt(help="Dataset root directory.")] = None,
) -> None:
    """Add the people who labelled a dataset to its leaderboard, as a human baseline."""
    if dataset != "ferplus":
        kind = "dataset with votes of single people"
        raise unknown_name(kind, dataset, ["ferplus"])
    from fer_bench import spec as specs
    from fer_bench.data.duplicates import flag_duplicates
    from fer_bench.data.provenance import data_facts
    from fer_bench.datasets.load import build_datamodule
    from fer_bench.ensembles.human_baseline import TaggedSplit, build_human_rows
    from fer_bench.leaderboard.render import render_all
    from fer_bench.protocols import protocol_for
    from fer_bench.results.store import Store

    protocol = protocol_for("ferplus", "fer8")
    settings = specs.build(
        {"dataset": "ferplus", "task": "fer8", "execution": {"data_dir": data_dir} if data_dir else {}},
        "the command line",
    )
    datamodule = build_datamodule(settings)
    datamodule.setup()
    facts = data_facts(datamodule, protocol)
    # Read anew: the datamodule holds only the images that the task keeps, the agreement needs all of them.
    samples = datamodule.read()
    flag_duplicates(samples)
    splits = {}
    for split in ("validation", "test"):
        at = samples.where(split)
        flags = (
            {"duplicate": samples.columns["duplicate"][at].astype(bool)}
            if split == "test" and "duplicate" in samples.columns
            else {}
        )
        splits[split] = TaggedSplit(samples.ids[at], samples.columns["votes"][at], samples.targets["fer8"][at], flags)  # type: ignore[arg-type]
    store = Store()
    records = build_human_rows(store, protocol, splits, facts)
    render_all(store)
    mean = sum(record.metrics["accuracy"] for record in records) / len(records)
    found = records[0].training["agreement"]
    typer.echo(
        f"{protocol.name} {records[0].model}: {mean:.4f} on {records[0].n_scored} test samples, "
        f"{counted(len(records), 'vote')} each"
    )
    for images, values in found.items():
        typer.echo(
            f"  one vote against the majority of the others, {images.replace('_', ' ')} ({values['n']}):"
            f" {values['leave_one_out']:.4f}"
        )
    typer.echo(f"records     {store.folder(records[0])}")
    typer.echo(f"leaderboard {store.root / (protocol.name + '.md')}")


def _protocol(store: Store, name: str) -> Protocol:
    """A declared protocol, or that of the records of a user's own dataset."""
    from fer_bench.protocols import PROTOCOLS
    from fer_bench.results.protocol import named_protocol

    known = [*PROTOCOLS, *store.protocols()]
    if name not in known:
        error: UnknownNameError = unknown_name("protocol", name, known)
        raise error
    return named_protocol(name, store)


def _top_k(text: str | None) -> Any:
    if text is None or text == "best":
        return text
    if not text.isdecimal():
        problem = f"--top-k {text!r}: expected an integer, or 'best'."
        raise SpecError(problem)
    return int(text)
