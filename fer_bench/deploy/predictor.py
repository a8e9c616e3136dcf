"""One way to ask a trained network, wherever it comes from: a run of this suite, or a file that ``fer-bench export``
has written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from fer_bench import __version__, paths
from fer_bench.deploy.exported import import_onnxruntime, is_exported
from fer_bench.deploy.model_card import FORMAT, Card
from fer_bench.errors import BadDataError, HardwareError, MissingDataError
from fer_bench.faces.crops import framing_of, image_shape
from fer_bench.findings import reason
from fer_bench.protocols import Protocol as Judge
from fer_bench.protocols import info_at_hand
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec

if TYPE_CHECKING:
    import torch

    from fer_bench.deploy.loading import TrainedEnsemble
    from fer_bench.deploy.probe import ProbeTask, TrainedProbe
    from fer_bench.probes.settings import ProbeSettings
    from fer_bench.tasks.base import AffectTask
    from fer_bench.tasks.ensemble import EnsembleTask
    from fer_bench.training.loading import Trained

METADATA = "fer_bench"
Step = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


class Predictor(Protocol):
    """Anything that predicts faces or scenes."""

    @property
    def card(self) -> Card:
        """How it is fed, and what its outputs mean."""
        ...

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Predict a batch: uint8 (B, channels, height, width) to float32 (B, C), probabilities or values in the
        dataset's units. B may be 0.
        """
        ...


@runtime_checkable
class OverClips(Protocol):
    """What a temporal model does besides: see :class:`fer_bench.deploy.clip_predictor.ClipPredictor`."""

    def features(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features of single frames, uint8 (B, channels, height, width)."""
        ...

    def clip(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Outputs (T, C) of the frames of one clip, from their features."""
        ...

    def memory(self) -> Step:
        """A function from the features of the next frame of one face to its outputs (C,)."""
        ...


def open_predictor(store: Store, reference: str, accelerator: str = "auto") -> Predictor:
    """Open a run, a network of the hub, or an exported file.

    Args:
        store: where a run's record is; the others need none.
        reference: run id, ``hf:ORG/NAME``, or a path that ends in ``.onnx``.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        RecordError, WeightsError: no such run, or its weights are not here.
        MissingDataError, BadDataError: no such file, or not one of this suite.
        MissingPackageError: onnxruntime is not installed.
    """
    if is_exported(reference):
        return OnnxPredictor(paths.expanded(reference), accelerator)
    if Path(reference).is_file():
        problem = f"{reference}: not a network of this suite; its files end in .onnx."
        raise BadDataError(problem, "Name a run id (`fer-bench list runs`), or a file of `fer-bench export`.")
    return RunPredictor.load(store, reference, accelerator)


class RunPredictor:
    """A run's network, a probe, or the networks of an ensemble, in PyTorch.

    Args:
        task: in evaluation mode.
        card: its description.
        device: where it runs.
    """

    def __init__(self, task: AffectTask | EnsembleTask | ProbeTask, card: Card, device: torch.device) -> None:
        self.card, self._device = card, device
        self.task = task.to(device).eval()

    @classmethod
    def load(cls, store: Store, reference: str, accelerator: str = "auto") -> RunPredictor:
        """Load a run's network, with its test-time augmentation; see :func:`fer_bench.deploy.loading.load_any`.

        Args:
            store: where the record is.
            reference: run id, or ``hf:ORG/NAME``.
            accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.

        Raises:
            RecordError, WeightsError: no such run, or its weights are not here.
        """
        from fer_bench.deploy.loading import load_any
        from fer_bench.spec import build
        from fer_bench.training import hardware
        from fer_bench.training.loading import Trained, with_views

        execution = build({"execution": {"accelerator": accelerator}}, "the command line").execution
        trained = load_any(store, reference, execution)
        device = hardware.resolve(RunSpec(execution=execution)).device
        if isinstance(trained, Trained) and trained.spec.temporal != "none":
            from fer_bench.deploy.clip_predictor import ClipPredictor

            return ClipPredictor(trained, card_of(trained), device)
        task = with_views(trained) if isinstance(trained, Trained) else trained.task
        return cls(task, card_of(trained), device)

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See :class:`Predictor`."""
        import torch

        if len(images) == 0:
            return np.zeros((0, len(self.card.names)), dtype=np.float32)
        with torch.inference_mode():
            outputs = self.task.predict_step({"image": torch.from_numpy(images).to(self._device)})
        return np.asarray(outputs.float().cpu().numpy(), dtype=np.float32)


class OnnxPredictor:
    """An exported file, in ONNX Runtime; needs neither PyTorch nor the run.

    Args:
        path: the file.
        accelerator: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        MissingDataError: there is no such file.
        BadDataError: no ONNX file, or not one that this suite has written.
        HardwareError: ONNX Runtime has no such accelerator here.
        MissingPackageError: onnxruntime is not installed.
    """

    def __init__(self, path: Path, accelerator: str = "auto") -> None:
        runtime = import_onnxruntime()
        if not path.is_file():
            problem = f"there is no file {path}."
            raise MissingDataError(problem, "Check the name; `fer-bench export RUN --onnx FILE` writes one.")
        chosen = providers(runtime, accelerator)
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        # Alongside a face detector and a video encoder, threads that wait by spinning take the cores that those need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=chosen)
        except Exception as error:  # ONNX Runtime's errors have no common base
            problem = f"{path}: not a usable ONNX file ({str(error).strip().splitlines()[0][:120]})."
            raise BadDataError(problem, "Export it again with `fer-bench export`.") from None
        self.card = read_card(dict(self._session.get_modelmeta().custom_metadata_map), path)
        self._input = self._session.get_inputs()[0]
        if [self._input.type, *self._input.shape[1:]] != ["tensor(uint8)", *self.card.shape]:
            problem = (
                f"{path}: the network takes {self._input.type} {self._input.shape}, its metadata says uint8"
                f" {list(self.card.shape)}."
            )
            raise BadDataError(problem, "Export it again with `fer-bench export`.")

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See :class:`Predictor`."""
        if len(images) == 0:
            return np.zeros((0, len(self.card.names)), dtype=np.float32)
        return np.asarray(self._session.run(None, {self._input.name: images})[0], dtype=np.float32)


def providers(runtime: Any, accelerator: str) -> list[str]:
    """What ONNX Runtime is to run on, in its words.

    Raises:
        HardwareError: it has no such accelerator here.
    """
    here = runtime.get_available_providers()
    wanted = {
        "cpu": [],
        "auto": ["CUDAExecutionProvider"],
        "cuda": ["CUDAExecutionProvider"],
        "gpu": ["CUDAExecutionProvider"],
    }.get(accelerator)
    if wanted is None or (accelerator in ("cuda", "gpu") and wanted[0] not in here):
        problem = f"accelerator = {accelerator!r}: this ONNX Runtime has {', '.join(here)}."
        raise HardwareError(problem, "Use --accelerator cpu (or auto).")
    return [*(name for name in wanted if name in here), "CPUExecutionProvider"]


def read_card(metadata: dict[str, str], path: Path) -> Card:
    """The description within an ONNX file's metadata.

    Raises:
        BadDataError: there is none, or this version cannot read it.
    """
    text = metadata.get(METADATA)
    if text is None:
        problem = (
            f"{path}: an ONNX file, but not one of `fer-bench export`: it does not say what it was trained on or what"
            " its outputs mean."
        )
        raise BadDataError(problem, "Give a run id, or a file that `fer-bench export RUN --onnx FILE` has written.")
    try:
        return Card.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        problem = (
            f"{path}: metadata that this version (format {FORMAT}) cannot read:"
            f" {'.'.join(map(str, first['loc'])) or 'JSON'}: {reason(first)}."
        )
        raise BadDataError(problem, "Export it again with `fer-bench export`.") from None


def card_of(trained: Trained | TrainedProbe | TrainedEnsemble) -> Card:
    """The description of a run's network, of a probe, or of an ensemble, whose members are all fed the same way."""
    from fer_bench.deploy.loading import TrainedEnsemble
    from fer_bench.models.weights import weights_digest

    if isinstance(trained, TrainedEnsemble):
        digests = "\n".join(weights_digest(task.network) for task in trained.task.networks)  # type: ignore[arg-type]
        changes = {
            "run_id": trained.record.run_id,
            "model": trained.record.model,
            "weights_sha256": hashlib.sha256(digests.encode()).hexdigest(),
        }
        return card_of(trained.first).model_copy(update=changes)
    return describe(
        trained.record, trained.spec, trained.protocol, trained.native_size, weights_digest(trained.task.network)
    )


def describe(
    record: Record, spec: RunSpec | ProbeSettings, protocol: Judge, native_size: int, weights_sha256: str
) -> Card:
    """The description of a run's network; its weights need not be here.

    Args:
        record: of the run.
        spec: of the run.
        protocol: that judges it.
        native_size: side of the images that it was trained on, in pixels.
        weights_sha256: of its weights.
    """
    task = protocol.task
    height, width, channels = image_shape(spec.dataset, spec.dataset_options, record.data, native_size)
    framing = framing_of(spec.dataset, spec.dataset_options)
    info = info_at_hand(spec.dataset)
    return Card(
        fer_bench=__version__,
        run_id=record.run_id,
        protocol=protocol.name,
        dataset=spec.dataset,
        task=task.name,
        model=spec.model,
        kind=task.kind,
        names=task.labels.names if task.labels else task.dimensions,
        scale=protocol.scale,
        height=height,
        width=width,
        channels=3 if channels == 3 else 1,
        subject="face" if info.picture == "face" else "scene",
        fit="letterbox" if info.read_options(spec.dataset_options).letterboxed else "stretch",
        margins=framing.margins,
        square=framing.square,
        weights_sha256=weights_sha256,
        input_format=(
            f"uint8 (batch, {channels}, {height}, {width}), {'RGB' if channels == 3 else 'grey'}, 0 to 255; scaling and"
            " normalisation are inside"
        ),
    )
