"""Small 8-bit PNG figures, without a display and without pyplot's global state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fer_bench.atomic import write_atomically
from fer_bench.ensembles.curve import png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# One colour per category, in the order of the study (Tableau 10, and two greys).
COLOURS = (
    "#59a14f",
    "#f1a208",
    "#76b7b2",
    "#4e79a7",
    "#e15759",
    "#9c755f",
    "#b07aa1",
    "#ff9da7",
    "#79706e",
    "#bab0ac",
    "#333333",
    "#d4a6c8",
)
_DPI = 90


def colours(n: int) -> list[str]:
    """Colours of n categories: those of ``COLOURS``, or hues around the circle where they are more."""
    from matplotlib.colors import hsv_to_rgb, to_hex

    if n <= len(COLOURS):
        return list(COLOURS[:n])
    # Neighbours are parted by brightness too.
    rgb = hsv_to_rgb([(k / n, 0.75, (0.95, 0.75, 0.55)[k % 3]) for k in range(n)])
    return [to_hex((float(r), float(g), float(b))) for r, g, b in rgb]


_PALETTE = 96


def new_figure(
    width: float, height: float, columns: int = 1, rows: int = 1, **grid: object
) -> tuple[Figure, npt.NDArray[np.object_]]:
    """A figure and its axes, shape (rows, columns); width and height in inches; ``grid`` goes to matplotlib's
    ``gridspec_kw``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=grid or None)
    for axis in axes.ravel():
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    return figure, axes


def save_png(figure: Figure, path: Path) -> Path:
    """Write a figure as a PNG with a palette, replaced as a whole; the same figure gives the same bytes."""
    for axis in figure.axes:
        axis.title.set_fontsize(10)
        axis.xaxis.label.set_fontsize(9)
        axis.yaxis.label.set_fontsize(9)
    write_atomically(path, png_of(figure, _DPI, _PALETTE))
    return path


def name_ticks(axis: Axes, names: tuple[str, ...] | list[str], along: str = "x") -> None:
    """Label the positions 0, 1, ... of an axis with names."""
    if along == "x":
        axis.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    else:
        axis.set_yticks(range(len(names)), names)


def heatmap(
    axis: Axes,
    values: npt.NDArray[np.float64],
    low: float,
    high: float,
    colours: str,
    texts: npt.NDArray[np.str_] | None = None,
) -> None:
    """A matrix as coloured cells.

    Args:
        axis: drawn on.
        values: shape (R, C).
        low: value of the first colour.
        high: value of the last colour.
        colours: name of a colour map of matplotlib.
        texts: shape (R, C), written into the cells.
    """
    image = axis.imshow(values, vmin=low, vmax=high, cmap=colours, aspect="auto", interpolation="nearest")
    axis.spines[:].set_visible(False)
    if texts is not None:
        for (i, j), text in np.ndenumerate(texts):
            red, green, blue, _ = image.cmap(image.norm(values[i, j])) if np.isfinite(values[i, j]) else (1, 1, 1, 1)
            dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.55
            axis.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
