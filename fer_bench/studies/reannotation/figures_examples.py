"""Images whose original label the raters did not share (the paper's figure 1)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fer_bench.data.decoding import load_image
from fer_bench.errors import MissingDataError
from fer_bench.image_files import UnreadableImageError
from fer_bench.studies.reannotation.analysis import Analysis
from fer_bench.studies.reannotation.drawing import new_figure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

_SHOWN = 4
_PIXELS = 400  # of a picture in the figure


def examples(analysis: Analysis, folder: Path) -> Figure | None:
    """The likeliest label errors, each of another label as far as there are.

    Args:
        analysis: of a study with original labels.
        folder: with the study's images, under their ids.

    Returns:
        None where no label is likely to be wrong.

    Raises:
        MissingDataError: none of those images is in the folder.
    """
    errors, consensus, study = analysis.errors, analysis.consensus, analysis.study
    if errors is None or consensus is None or not len(errors.rows):
        return None
    rows: list[int] = errors.rows.tolist()
    first = {int(study.original[i]): i for i in reversed(rows)}
    chosen = sorted(first.values(), key=rows.index)
    found = [(i, image) for i in dict.fromkeys([*chosen, *rows]) if (image := _image(folder, study.ids[i])) is not None]
    if not found:
        problem = f"{folder}: has none of the study's images (such as {study.ids[rows[0]]!r})."
        raise MissingDataError(problem, "Name the folder that images.folder of the study file names.")
    figure, axes = new_figure(2.4 * _SHOWN, 3.0, _SHOWN)
    for axis in axes[0]:
        axis.set_axis_off()
    for axis, (i, image) in zip(axes[0], found, strict=False):
        axis.imshow(image, cmap="gray")
        votes, label, best = study.counts[i], int(study.original[i]), int(consensus.labels[i])
        axis.set_title(f"label: {study.categories[label]}\n{votes[best]} of {votes.sum()}: {study.categories[best]}")
    return figure


def _image(folder: Path, name: str) -> npt.NDArray[np.uint8] | None:
    try:
        image = load_image(folder / name)
    except UnreadableImageError:
        return None
    step = max(1, max(image.shape[:2]) // _PIXELS)
    return image[::step, ::step]
