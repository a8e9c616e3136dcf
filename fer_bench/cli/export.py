"""The verb ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("export")(export_verb)


def export_verb(
    run: Annotated[str, typer.Argument(help="A run id.")],
    onnx: Annotated[Path, typer.Option(help="The file to write; its name ends in .onnx.")],
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Images, or folders of them, to check on [default: the run's own test images]."),
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Root directory of the run's dataset.")] = None,
) -> None:
    """Write a trained network as an ONNX file that takes 8-bit images; checked against PyTorch on real images."""
    from fer_bench.packages import require
    from fer_bench.results.store import Store

    require(("torch", "lightning", "cv2"))
    require(("onnx", "onnxscript", "onnxruntime"))
    from fer_bench.deploy.export import export_run

    done = export_run(Store(), run, onnx, images or (), data_dir)
    agreement = f"the same class for {done.same_class:.0%} and " if done.card.classes else ""
    typer.echo(f"{done.path}: {done.card.input_format}; outputs: {', '.join(done.card.names)}")
    if done.without_views:
        typer.echo(
            f"without the {done.without_views} views of the run's test-time augmentation: the file answers as run"
            f" {done.card.run_id} does"
        )
    typer.echo(
        f"checked with ONNX Runtime on {done.n_images} real images: {agreement}outputs within {done.difference:.1e} of"
        " PyTorch's"
    )
