"""Frozen networks that turn images into features: torchvision's, timm's, Places365's, Kragel's EmoNet, and this suite's
own runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from fer_bench import paths
from fer_bench.errors import SpecError, WeightsError
from fer_bench.models.adapter import InputAdapter, default_normalization
from fer_bench.models.catalog import find_model
from fer_bench.models.converting import current_name, require_plain
from fer_bench.models.designed import DesignedInput, design_of
from fer_bench.models.initial import Initial
from fer_bench.models.penultimate import penultimate as penultimate
from fer_bench.models.trained import load_network, spec_of
from fer_bench.models.weights import FOLDED, read_file, weights_digest
from fer_bench.models.zoo import Network, build_network, in_channels_last, normalization_of
from fer_bench.probes.kragel import KragelEmoNet, KragelInput
from fer_bench.probes.settings import EMONET
from fer_bench.protocols import find_task
from fer_bench.registry import unknown_name
from fer_bench.results.store import Store
from fer_bench.spec import Execution

PLACES = ("alexnet", "resnet18", "resnet50", "densenet161")
N_PLACES, N_CLASSES = 365, 1000
TIMM = "timm:"
OUTPUTS = ("features", "predictions")


@dataclass(frozen=True)
class Backbone:
    """A frozen network.

    Args:
        name: ``resnet18``, ``resnet18-places365``, ``emonet-kragel``, ``timm:<name>``, ``run:<run id>``.
        module: takes uint8 images (B, 1 or 3, H, W), returns (B, D) float.
        digest: sha256 over the tensors that it holds.
        preprocessing: image size and normalisation, in words that differ whenever they do.
        parameters: of the whole network.
        initial: where its weights are from; None where they are random, a run's, or those of Places365 and EmoNet.
        of_values: whether it is the predictions of a run of values.
        side: of its input, where it scales images; None: it sees them as they are.
    """

    name: str
    module: nn.Module
    digest: str
    preprocessing: str
    parameters: int
    initial: Initial | None = None
    of_values: bool = False
    side: int | None = None


def build_backbone(
    name: str,
    *,
    weights: str = "auto",
    outputs: str = "features",
    image_size: int | None = None,
    store: Store | None = None,
    data_dir: str | None = None,
) -> Backbone:
    """Build a frozen network by name.

    Args:
        name: see :class:`Backbone`.
        weights: ``auto`` is ImageNet's for names of the catalogue and of timm (:mod:`fer_bench.models.pretrained`), and
            a file in ``<data root>/weights`` for Places365 and EmoNet; ``none`` for random weights (always the same);
            else the path of a file.
        outputs: ``features`` of the penultimate layer, or ``predictions``, the probabilities of the network's own
            classes, or the values that a run predicts. EmoNet has predictions only.
        image_size: side that images are stretched to; None: as the dataset gives them (runs, Places365 and EmoNet keep
            to their own). timm's networks get images as they were designed for, scaled, cropped and normalised as
            timm's data configuration says, at this side or their own.
        store: where runs are looked up.
        data_dir: data root.

    Raises:
        UnknownNameError, SpecError, WeightsError: with what to do next.
    """
    if outputs not in OUTPUTS:
        kind = "kind of outputs"
        raise unknown_name(kind, outputs, OUTPUTS)
    if outputs == "predictions" and name.startswith(TIMM) and not design_of(name.removeprefix(TIMM)).of_imagenet:
        problem = f"backbone {name!r} was not trained to classify: it has no class probabilities."
        raise SpecError(problem, f"Use its features: features:{name}.")
    of_values = outputs == "predictions" and name.startswith("run:") and _is_of_values(name, store or Store())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, preprocessing = _network(name, weights, image_size, store or Store(), data_dir)
    side = _side_of(network)
    parameters = sum(p.numel() for p in network.parameters())
    if of_values:
        module: nn.Module = network
    elif outputs == "predictions" or name == EMONET:
        module = nn.Sequential(network, nn.Softmax(dim=1))
    else:
        module = nn.Sequential(penultimate(network), nn.Flatten())
    module = in_channels_last(module.eval().requires_grad_(False))
    return Backbone(
        name,
        module,
        weights_digest(module),
        f"{preprocessing}, {outputs}",
        parameters,
        getattr(network, "initial", None),
        of_values,
        side,
    )


def _network(
    name: str, weights: str, image_size: int | None, store: Store, data_dir: str | None
) -> tuple[nn.Module, str]:
    if name == EMONET:
        return _emonet(weights, data_dir), "227 px, mean"
    if name.endswith("-places365"):
        return _places(name.removesuffix("-places365"), weights, data_dir), "256 px, centre 224, imagenet"
    if name.startswith("run:"):
        return _run(name.removeprefix("run:"), store, data_dir)
    chosen = "imagenet" if weights == "auto" else weights
    entry = find_model(name)
    size = image_size or (
        entry.image_size if entry.source == "own" or (entry.source == "plugin" and entry.fixed_size) else None
    )
    if name.startswith(TIMM) and not chosen.endswith(FOLDED):
        design = design_of(name.removeprefix(TIMM), image_size)
        classes = design.classes if design.of_imagenet and design.classes else N_CLASSES
        network = build_network(
            name, classes, weights=chosen, image_size=design.height, normalization="unit", data_dir=data_dir
        )
        network.adapter = DesignedInput(design)  # type: ignore[assignment]
        return network, design.describe()
    # TensorFlow pads images on one side only.
    options = {"pad_type": "same"} if chosen.endswith(FOLDED) else None
    network = build_network(
        name, N_CLASSES, weights=chosen, image_size=size, native_size=size or 224, options=options, data_dir=data_dir
    )
    # Random weights get what the trained ones would.
    kind = "centred" if chosen.endswith(FOLDED) else default_normalization(name, "imagenet")
    return _resized(network, size, kind), f"{size or 'as given'} px, {kind}"


def _side_of(network: nn.Module) -> int | None:
    """Side of the input in pixels; None where images stay as they are, or what is small to begin with."""
    adapter = getattr(network, "adapter", None)
    return adapter.design.height if isinstance(adapter, DesignedInput) else getattr(adapter, "size", None)


def _resized(network: Network, size: int | None, normalization: str) -> Network:
    network.adapter = InputAdapter(normalization, size)
    return network


def _file(name: str, weights: str, file: str, source: str, data_dir: str | None) -> str:
    """Path of a weights file that is not fetched by the package."""
    path = paths.expanded(weights) if weights != "auto" else paths.data_root(data_dir) / "weights" / file
    if not path.is_file():
        problem = f"backbone {name!r}: there is no file {path}."
        raise WeightsError(problem, f"Fetch {file} ({source}) and put it there, or pass its path as weights.")
    return str(path)


def read_state(path: str) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint, each of its own shape, by the names that torchvision gives them today.

    Raises:
        WeightsError: the file cannot be read, or holds tensors that no network can take.
    """
    content = read_file(path)
    inner = content.get("state_dict")
    state = inner if isinstance(inner, dict) else content
    found = {current_name(str(key)): value for key, value in state.items() if isinstance(value, torch.Tensor)}
    require_plain(found, path)
    return found


def _places(arch: str, weights: str, data_dir: str | None) -> nn.Module:
    if arch not in PLACES:
        kind = "Places365 backbone"
        raise unknown_name(kind, f"{arch}-places365", [f"{known}-places365" for known in PLACES])
    network = build_network(arch, N_PLACES, weights="none", image_size=256)
    if weights != "none":
        path = _file(
            f"{arch}-places365",
            weights,
            f"{arch}_places365.pth.tar",
            "the official Places365 models of the CSAIL Vision group",
            data_dir,
        )
        state = read_state(path)
        own = network.body.state_dict()
        absent = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
        wrong = [key for key in own if key in state and state[key].shape != own[key].shape]
        if absent or wrong:
            what = f"lacks {absent[0]}" if absent else f"has {wrong[0]} of shape {tuple(state[wrong[0]].shape)}"
            problem = f"{path}: {what}; it is no {arch} with {N_PLACES} places."
            raise WeightsError(problem, f"Use the official {arch}_places365.pth.tar.")
        network.body.load_state_dict({key: value for key, value in state.items() if key in own}, strict=False)
    network.adapter = nn.Sequential(InputAdapter("imagenet", 256), CentreCrop(224))  # type: ignore[assignment]
    return network


class CentreCrop(nn.Module):
    """The middle of an image.

    Args:
        side: in pixels.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Crop images (B, C, H, W) to (B, C, side, side)."""
        top, left = (images.shape[2] - self.side) // 2, (images.shape[3] - self.side) // 2
        return images[:, :, top : top + self.side, left : left + self.side]


def _emonet(weights: str, data_dir: str | None) -> nn.Module:
    network = KragelEmoNet()
    if weights != "none":
        path = _file(EMONET, weights, "emonet.pth", "EAVISE's PyTorch port of Kragel's EmoNet", data_dir)
        network.load_converted(read_state(path), path)
    return nn.Sequential(KragelInput(), network)


def _is_of_values(name: str, store: Store) -> bool:
    """Whether a run predicts values."""
    return find_task(store.get(name.removeprefix("run:")).task).kind == "values"


def _run(reference: str, store: Store, data_dir: str | None) -> tuple[nn.Module, str]:
    record = store.get(reference)
    spec = spec_of(record, Execution(data_dir=data_dir))
    if spec.temporal != "none":
        # It would take a batch of unrelated images for the frames of one clip.
        problem = f"run {record.run_id} is a temporal model ({spec.temporal}): it answers clips, not single images."
        raise SpecError(problem, "Use a run with temporal=none as a backbone.")
    network = load_network(record, spec)
    return network, f"{network.adapter.size} px, {normalization_of(spec)}"
