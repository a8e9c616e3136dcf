"""Pictures for annotators, taken from a dataset: called after their samples, so that the labels that come back find
them again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer_bench.data.sample_names import picture_names
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import FerBenchError, SpecError
from fer_bench.layering import layered
from fer_bench.protocols import find_task
from fer_bench.spec import build


def write_images(
    dataset: str,
    out: Path,
    *,
    task: str | None = None,
    split: str = "test",
    per_class: int = 0,
    seed: int = 0,
    data_dir: str | None = None,
    options: dict[str, Any] | None = None,
) -> int:
    """Write a split's images as ``<class>/<name>.png``, the layout that a study takes its images and original labels
    from.

    Names are those of :func:`~fer_bench.data.sample_names.picture_names`.

    Args:
        dataset: its name.
        out: a folder that does not exist yet, or is empty.
        task: whose labels name the folders; None: the dataset's default.
        split: ``train``, ``validation`` or ``test``.
        per_class: images per class, sampled at random; 0: all.
        seed: of the sampling.
        data_dir: dataset root directory.
        options: of the dataset, such as its classes.

    Returns:
        Number of images written.

    Raises:
        SpecError: the task is not one of classes.
        FerBenchError: the folder has something in it.
    """
    settings = layered(
        {
            "dataset": dataset,
            **({"task": task} if task else {}),
            "dataset_options": options or {},
            "execution": {"data_dir": data_dir},
        }
    )
    spec = build(settings, "the command line")
    labels = find_task(spec.task).labels
    if labels is None:
        problem = f"task {spec.task!r} has no classes to name folders after."
        raise SpecError(problem, "Choose one with --task, such as fer7.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        problem = f"{out}: exists and is not an empty folder."
        raise FerBenchError(problem, "Give another --out.")
    datamodule = build_datamodule(spec)
    samples = datamodule.read_samples
    at, targets = samples.where(split), datamodule.targets(split)
    names = picture_names([str(identifier) for identifier in samples.ids])
    rng = np.random.default_rng(seed)
    written = 0
    for label, name in enumerate(labels.names):
        chosen = np.flatnonzero(targets == label)
        if per_class and len(chosen) > per_class:
            chosen = np.sort(rng.permutation(chosen)[:per_class])
        for i in at[chosen].tolist():
            path = out / name / f"{names[i]}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = np.asarray(samples.images[i])
            if not cv2.imwrite(str(path), image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
                problem = f"{path}: cannot be written."
                raise FerBenchError(problem, "Is the disk full?")
            written += 1
    return written
