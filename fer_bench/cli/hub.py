"""The verbs that give networks to others over the Hugging Face hub: ``card`` and ``push``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.errors import SpecError

if TYPE_CHECKING:
    from fer_bench.deploy.hub.terms import Terms

Opt = typer.Option
LICENCE = Annotated[
    str,
    Opt(
        metavar="ID",
        help="Of the weights, as the hub calls it: mit, cc-by-nc-4.0, ... [default: the terms of the data]",
        show_default=False,
    ),
]


def add_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("card")(card_verb)
    app.command("push")(push_verb)


def card_verb(
    run: Annotated[str, typer.Argument(help="A run id, or the path of a record.")],
    out: Annotated[
        Path | None, Opt(dir_okay=False, metavar="FILE", help="Write it there instead of printing it.")
    ] = None,
    to: Annotated[str | None, Opt(metavar="hf:ORG/NAME", help="Where the network is, or will be.")] = None,
    licence: LICENCE = "",
) -> None:
    """Write a run's model card as the Hugging Face hub reads it: how to load it, how it was trained, scores with
    intervals, licences, caveats, and the evaluation block.
    """
    from fer_bench.atomic import write_atomically
    from fer_bench.packages import require
    from fer_bench.results.store import Store

    require(("torch", "lightning", "huggingface_hub"))
    from fer_bench.deploy.hub.card import model_card
    from fer_bench.deploy.hub.folder import prepare
    from fer_bench.deploy.hub.reference import read_place

    store, place = Store(), read_place(to) if to else None
    prepared = prepare(store, run)
    text = model_card(store, prepared.record, prepared.card, prepared.terms, place=place, licence=licence)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_atomically(out, text.encode())
        typer.echo(f"card        {out}")


def push_verb(
    run: Annotated[str, typer.Argument(help="A run id, or the path of a record.")],
    to: Annotated[str, typer.Argument(metavar="hf:ORG/NAME", help="The repository: hf:ORG/NAME, or with @BRANCH.")],
    out: Annotated[Path | None, Opt(metavar="FOLDER", help="Write the folder there, and push nothing.")] = None,
    dry_run: Annotated[bool, Opt("--dry-run", help="Make the folder, list its files, and push nothing.")] = False,
    licence: LICENCE = "",
    onnx: Annotated[bool, Opt("--onnx/--no-onnx", help="Also as model.onnx.")] = True,
    images: Annotated[
        list[Path] | None,
        Opt(help="Images, or folders of them, to check model.onnx on [default: the run's own test images]."),
    ] = None,
    data_dir: Annotated[str | None, Opt(help="Root directory of the run's dataset.")] = None,
    private: Annotated[bool, Opt("--private", help="A new repository is private.")] = False,
    yes: Annotated[bool, Opt("--yes", help="You may publish the weights: do not ask.")] = False,
) -> None:
    """Push a run's network to the Hugging Face hub: weights as safetensors, record, model card, ONNX.

    The token is HF_TOKEN, or that of `hf auth login`. Where the data are not free, their licence is shown and it asks
    first. `fer-bench predict --run hf:ORG/NAME` and `fer_bench.load_model("hf:ORG/NAME")` load it anywhere. Exits with
    1 if the answer is no.
    """
    from fer_bench.packages import require
    from fer_bench.results.store import Store

    require(("torch", "lightning", "huggingface_hub", "safetensors"))
    if onnx:
        require(("onnx", "onnxscript", "onnxruntime"))
    from fer_bench.deploy.hub.folder import prepare, write_folder
    from fer_bench.deploy.hub.push import push_folder, require_token
    from fer_bench.deploy.hub.reference import read_place

    store, place = Store(), read_place(to)
    prepared = prepare(store, run)
    for line in prepared.terms.lines():
        typer.echo(f"data        {line}")
    here = out is not None or dry_run
    if not here:
        require_token()
        if not (yes or prepared.terms.free or _agreed(prepared.terms, to)):
            typer.echo("nothing was pushed.")
            raise typer.Exit(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = out or Path(temporary) / place.name
        for path in write_folder(
            store, prepared, folder, place, licence=licence, onnx=onnx, images=images or (), data_dir=data_dir
        ):
            typer.echo(f"file        {path if out else path.name}, {path.stat().st_size / 1e6:.2f} MB")
        if here:
            typer.echo("nothing was pushed.")
            return
        record = prepared.record
        address, commit = push_folder(folder, place, f"{record.model}, run {record.run_id}", private=private)
    typer.echo(f"pushed      {address}")
    typer.echo(f"load it     fer-bench predict FACES --run hf:{place.repository}@{commit}")


def _agreed(terms: Terms, to: str) -> bool:
    if not sys.stdin.isatty():
        problem = f"the weights may fall under the terms of what they were trained on: {'; '.join(terms.lines())}."
        raise SpecError(problem, f"Give --yes if you may publish them as {to}, or --out FOLDER to write them here.")
    try:
        return typer.confirm(f"The weights may fall under these terms. Push them to {to}?")
    except typer.Abort:
        return False
