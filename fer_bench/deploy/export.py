"""A run's network as an ONNX file: from 8-bit images to probabilities or values, checked against PyTorch on real images
before it is put in place.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fer_bench.atomic import write_atomically
from fer_bench.data.decoding import read_image
from fer_bench.deploy.exported import is_exported
from fer_bench.deploy.model_card import Card
from fer_bench.deploy.predict import find_images
from fer_bench.deploy.predictor import METADATA, OnnxPredictor, RunPredictor, card_of
from fer_bench.errors import FerBenchError, MissingDataError, SpecError, WeightsError
from fer_bench.packages import require
from fer_bench.results.store import Store
from fer_bench.spec import Execution

if TYPE_CHECKING:
    import torch

    from fer_bench.tasks.base import AffectTask
    from fer_bench.training.loading import Trained

IMAGES = 64
# Largest difference of a probability, or of a value in halves of its scale, that float32 arithmetic in another order
# explains.
TOLERANCE = 1e-4
INPUT, OPSET = "image", 18


@dataclass(frozen=True)
class Export:
    """A file that was written.

    Args:
        path: where.
        card: its metadata.
        n_images: real images that it was checked on.
        difference: largest difference from PyTorch, in probabilities or in the dataset's units.
        same_class: share of images with the same likeliest class; 1 for values.
        without_views: of the run's test-time augmentation, which the file does not hold; 0 where the run has none.
    """

    path: Path
    card: Card
    n_images: int
    difference: float
    same_class: float
    without_views: int = 0


def export_run(
    store: Store, reference: str, path: Path, places: Sequence[Path] = (), data_dir: str | None = None
) -> Export:
    """Write a run's network as an ONNX file: the network alone, without the views of test-time augmentation.

    Args:
        store: where the run's record is.
        reference: run id.
        path: the file, ending in ``.onnx``.
        places: real images to check on; empty: test images of the run's own dataset.
        data_dir: dataset root directory.

    Raises:
        SpecError: the file's name does not end in ``.onnx``.
        MissingDataError: there is no real image to check on.
        MissingPackageError: onnx or onnxruntime is not installed.
        WeightsError: no exporter gives the answers that PyTorch gives; nothing is written.
    """
    import torch

    from fer_bench.training.loading import load_run

    if not is_exported(str(path)):
        problem = f"--onnx {path}: the name does not end in .onnx."
        raise SpecError(problem, "Call it something.onnx.")
    require(("onnx", "onnxscript", "onnxruntime"))
    trained = load_run(store, reference, Execution(data_dir=data_dir, accelerator="cpu"))
    if trained.spec.temporal != "none":
        below = trained.spec.weights.removeprefix("run:")
        of_run = f" `fer-bench export {below}` writes the network below it." if below != trained.spec.weights else ""
        problem = (
            f"run {trained.record.run_id} is a temporal model ({trained.spec.temporal}): an exported file answers"
            " single images, and remembers none."
        )
        raise SpecError(problem, f"`fer-bench live` and `fer-bench predict` run it in PyTorch.{of_run}")
    card = card_of(trained)
    views = trained.spec.tta
    if views:
        # The file holds the network alone: what it answers is the row without views.
        plain = trained.spec.model_copy(update={"tta": 0, "tta_kind": "random"}).run_id()
        card = card.model_copy(update={"run_id": plain + card.run_id.removeprefix(trained.spec.run_id())})
    images = card.batch(_from_files(places, card) if places else _from_dataset(trained, card))
    expected = RunPredictor(trained.task, card, torch.device("cpu")).predict(images)
    path.parent.mkdir(parents=True, exist_ok=True)
    problems = []
    # Exporters and the runtime ask for a file.
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / path.name
        # The older exporter takes a tenth of the time; what it cannot express (shrinking with antialiasing) is left to
        # the newer one.
        for name, write in (("TorchScript", _write_traced), ("torch.export", _write_exported)):
            try:
                with _quiet():
                    write(
                        _ending_in_outputs(trained.task),
                        torch.from_numpy(images[:2]),
                        part,
                        "probabilities" if card.probabilities else "values",
                    )
                _describe(part, card)
                found = compare(card, expected, part, images)
            except FerBenchError as error:
                problems.append(f"{name}: {error.problem}")
            except Exception as error:  # exporters raise whatever they meet
                problems.append(
                    f"{name}: {type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:160]}"
                )
            else:
                write_atomically(path, part.read_bytes())
                return Export(path, card, len(images), *found, without_views=views)
    problem = f"run {card.run_id} ({card.model}) cannot be exported: {'; '.join(problems)}."
    raise WeightsError(
        problem, "Nothing was written. Newer versions of torch, onnx and onnxscript support more operators."
    )


def compare(
    card: Card, expected: npt.NDArray[np.float32], path: Path, images: npt.NDArray[np.uint8]
) -> tuple[float, float]:
    """Hold a file's answers against PyTorch's, for all images at once and one by one.

    Args:
        card: of the network.
        expected: shape (N, C), PyTorch's answers in float32.
        path: the file.
        images: uint8 (N, channels, height, width).

    Returns:
        Largest difference, and the share of images with the same likeliest class.

    Raises:
        WeightsError: the answers differ by more than arithmetic explains.
    """
    predictor = OnnxPredictor(path, "cpu")
    difference, same = 0.0, 1.0
    for found in (
        predictor.predict(images),
        np.concatenate([predictor.predict(images[i : i + 1]) for i in range(min(len(images), 8))]),
    ):
        here = expected[: len(found)]
        difference = max(difference, float(np.abs(found - here).max())) if np.isfinite(found).all() else np.inf
        if card.classes:
            same = min(same, float((found.argmax(axis=1) == here.argmax(axis=1)).mean()))
    unit = 1.0 if card.probabilities else (card.scale[1] - card.scale[0]) / 2
    # NaN compares as false, and so is refused.
    if not difference <= TOLERANCE * unit:
        problem = (
            f"on {len(images)} real images ONNX Runtime and PyTorch differ by up to {difference:.2g}; the likeliest"
            f" class is the same for {same:.0%}"
        )
        raise WeightsError(problem)
    return difference, same


def _from_files(places: Sequence[Path], card: Card) -> list[npt.NDArray[np.uint8]]:
    found = find_images(places)
    chosen = [found[i] for i in np.linspace(0, len(found) - 1, min(IMAGES, len(found))).astype(int)]
    read = (read_image(path, gray=card.channels == 1) for path in chosen)
    images = [card.fit_image(image) for image in read if image is not None]
    if not images:
        problem = f"no image in {', '.join(map(str, places))} can be read."
        raise MissingDataError(problem, "Name some of the kind that the network was trained on.")
    return images


def _from_dataset(trained: Trained, card: Card) -> list[npt.NDArray[np.uint8]]:
    from fer_bench.datasets.load import build_datamodule

    try:
        samples = build_datamodule(trained.spec).read_samples
    except MissingDataError as error:
        problem = f"an export is checked on real images before it is written: {error.problem}"
        raise MissingDataError(
            problem, "Put the dataset there, name its folder with --data-dir, or name images with --images."
        ) from None
    test = samples.where("test")
    chosen = test[np.linspace(0, len(test) - 1, min(IMAGES, len(test))).astype(np.int64)]
    images = [np.asarray(samples.images[int(i)]) for i in chosen]
    if images[0].shape != (card.shape[1:] if card.channels == 1 else (*card.shape[1:], 3)):
        problem = (
            f"the images of {card.dataset} are {images[0].shape} now; run {card.run_id} was trained on {card.shape[1:]}"
            f" with {card.channels} channels."
        )
        raise MissingDataError(problem, "Name the copy that it was trained on with --data-dir.")
    return images


def _ending_in_outputs(task: AffectTask) -> torch.nn.Module:
    """The network with its input adapter, followed by what the task makes of it: softmax, or the dataset's units."""
    import torch

    class Graph(torch.nn.Module):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.network = task.network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return task.outputs(self.network(images).float())

    return Graph().eval()


def _write_traced(graph: torch.nn.Module, example: torch.Tensor, path: Path, output: str) -> None:
    import torch

    axes = {INPUT: {0: "batch"}, output: {0: "batch"}}
    torch.onnx.export(
        graph,
        (example,),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=[output],
        dynamic_axes=axes,
    )


def _write_exported(graph: torch.nn.Module, example: torch.Tensor, path: Path, output: str) -> None:
    import torch

    # dynamo takes an example of two: a batch of one would be taken for a constant.
    example = example if len(example) > 1 else torch.cat([example, example])
    shapes = ({0: torch.export.Dim("batch")},)
    export: Callable[..., Any] = torch.onnx.export
    names: dict[str, Any] = {"input_names": [INPUT], "output_names": [output]}
    export(
        graph,
        (example,),
        str(path),
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes=shapes,
        external_data=False,
        verbose=False,
        **names,
    )


def _describe(path: Path, card: Card) -> None:
    import onnx

    model = onnx.load(str(path))
    model.producer_name, model.producer_version = "fer_bench", card.fer_bench
    model.doc_string = (
        f"{card.model}, run {card.run_id} on {card.protocol}: {card.input_format} to {', '.join(card.names)}"
    )
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA: card.model_dump_json()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters talk; what matters of it is in the comparison."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
