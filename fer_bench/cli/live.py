"""The verb ``live``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("live")(live_verb)


def live_verb(
    run: Annotated[str, typer.Option(help="A run id, hf:ORG/NAME, or a file of `fer-bench export`.")],
    source: Annotated[str, typer.Option(help="The number of a camera, a video file, or a folder of images.")] = "0",
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the annotated video (.mp4, .avi).")] = None,
    csv: Annotated[Path | None, typer.Option(dir_okay=False, help="Write a table with a row per face.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Open no window.")] = False,
    realtime: Annotated[
        bool | None,
        typer.Option(
            help=(
                "Let a video behave as a camera and drop frames, or look at all of them [default: only when it is"
                " merely shown]."
            )
        ),
    ] = None,
    smooth: Annotated[float, typer.Option(min=0.0, help="Time constant of smoothing, in seconds; 0: none.")] = 0.0,
    max_faces: Annotated[int, typer.Option(min=1, max=32, help="Maximum number of faces.")] = 4,
    margin: Annotated[
        float | None,
        typer.Option(
            min=-0.5, max=2.0, help="Share added around the landmarks on each side [default: as in training]."
        ),
    ] = None,
    landmarker: Annotated[
        str | None,
        typer.Option(help="Path of face_landmarker.task [default: FER_BENCH_LANDMARKER, or models/ in the data root]."),
    ] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Predict the faces of a camera, a video or a folder as they come; shown, written, or both."""
    from fer_bench.deploy.exported import require_packages

    require_packages(run)
    from fer_bench.deploy.predictor import open_predictor
    from fer_bench.faces.crops import Framing
    from fer_bench.faces.detector import landmarker_file, open_detector
    from fer_bench.live.capture import open_source
    from fer_bench.live.screen import Screen, has_screen
    from fer_bench.live.session import run_live
    from fer_bench.results.store import Store

    shown = not headless and has_screen()
    if not headless and not shown:
        typer.echo("no display: continuing as with --headless", err=True)
    # What is missing is said before MediaPipe begins to talk.
    model = landmarker_file(landmarker)
    predictor = open_predictor(Store(), run, accelerator)
    frames = open_source(source)
    with open_detector(str(model), max_faces=max_faces) as detector:
        summary = run_live(
            predictor,
            detector,
            frames,
            output=output,
            table=csv,
            screen=Screen() if shown else None,
            realtime=realtime if realtime is not None else shown and output is None and csv is None,
            smooth=smooth,
            framing=None if margin is None else Framing((margin,) * 4, predictor.card.square),
            progress=_progress if sys.stderr.isatty() and not shown else None,
        )
    for line in (*summary.lines(), *(f"wrote {path}" for path in (output, csv) if path is not None and path.exists())):
        typer.echo(line)
    # To stop a camera is how one ends it; a file was left in the middle.
    if summary.stopped_by and not source.isdecimal():
        raise typer.Exit(128 + summary.stopped_by)


def _progress(line: str) -> None:
    sys.stderr.write(f"\r{line:<78}")
    sys.stderr.flush()
