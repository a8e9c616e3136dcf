"""A network is run once on one blank image, before anything long begins: what a library or a user's network cannot do
is then one line.

The trial changes nothing that training could notice: evaluation mode, no gradients, and the random number generators as
they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from fer_bench.errors import FerBenchError, SpecError
from fer_bench.models import weights as weight_files
from fer_bench.models.catalog import find_model
from fer_bench.models.initial import require_imagenet
from fer_bench.models.zoo import Network, build_specified, known_side, without_temporal
from fer_bench.pinning import NAMED_WEIGHTS, RUN
from fer_bench.spec import RunSpec

# Settings that no network sees: runs that differ in nothing else share one trial.
_OF_NO_NETWORK = {"seed", "recipe", "lr", "weight_decay", "batch_size", "epochs", "optimizer_options", "execution"}
_tried: set[str] = set()
# What PyTorch says where the first convolution takes another number of channels than it is given.
_CHANNELS = re.compile(r"to have (\d+) channels, but got 3 channels")


def try_network(
    network: nn.Module,
    name: str,
    *,
    n_outputs: int | None = None,
    channels: int = 3,
    side: int | None = None,
    n: int = 1,
) -> None:
    """Run a network once.

    Args:
        network: takes uint8 images (B, 1 or 3, H, W).
        name: of the network, for the error.
        n_outputs: that it should have; None: any number.
        channels: of the image.
        side: of the image, in pixels; None: that of the network's input.
        n: images in the batch.

    Raises:
        SpecError: it fails, or returns something else than ``n_outputs`` finite numbers per image.
    """
    adapter = getattr(network, "adapter", None)
    given = side or getattr(adapter, "size", None) or 48
    # What keeps its proportions is tried on a picture that is not square.
    wide = given * 4 // 3 if getattr(adapter, "keep", False) else given
    place = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    with _unchanged(network):
        try:
            outputs = network(torch.zeros(n, channels, given, wide, dtype=torch.uint8, device=place))
        except FerBenchError:
            raise
        except Exception as error:  # networks raise whatever they are made to
            problem = (
                f"model {name!r} fails on an image of {given} x {wide} px ({type(error).__name__}:"
                f" {first_line(error)})."
            )
            raise SpecError(problem, _advice(name, error)) from None
    if not isinstance(outputs, torch.Tensor):
        problem = f"model {name!r} returns a {type(outputs).__name__} where one tensor is expected."
        raise SpecError(problem, "Make it return its logits or values alone, of shape (batch, outputs).")
    if outputs.ndim != 2 or len(outputs) != n or n_outputs not in (None, outputs.shape[1]):
        images = "one image" if n == 1 else f"{n} images"
        problem = (
            f"model {name!r} returns a tensor of shape {tuple(outputs.shape)} for {images}, not"
            f" {(n, n_outputs or 'outputs')}."
        )
        raise SpecError(problem, "It gets the number of outputs, and returns one logit or value for each.")
    if not outputs.is_meta and not bool(torch.isfinite(outputs).all()):
        problem = f"model {name!r} answers a blank image with NaN or infinity."
        raise SpecError(problem, "Check its weights and its initialisation.")


def try_sides(network: Network, spec: RunSpec, n_outputs: int) -> None:
    """Run a spec's network at every extreme of its input: the full side, and the smallest where images grow while it
    trains.
    """
    full = network.adapter.size
    try:
        for side in filter(None, (full, spec.progressive_from)):
            network.adapter.size = side
            try_network(network, spec.model, n_outputs=n_outputs)
    finally:
        network.adapter.size = full


def try_plugin(network: Network, name: str, n_outputs: int) -> None:
    """What a network from outside must be, beyond what any must: it treats images of a batch independently, and has
    something to train.

    Raises:
        SpecError: it is not.
    """
    try_network(network, name, n_outputs=n_outputs, n=2)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        problem = f"model {name!r} has no parameter that could be trained."
        raise SpecError(
            problem,
            "Assign its layers to attributes of the module (or to an nn.ModuleList), so that PyTorch knows them.",
        )


def try_specified(spec: RunSpec, n_outputs: int) -> Network:
    """Try a spec's network and its weights file, as far as is possible before the data are read.

    The network is built without memory for its weights (PyTorch's device ``meta``), which takes a moment whatever its
    size. Where that fails, it is built in full: some networks cannot be built so, and are right nevertheless.

    Args:
        spec: the run.
        n_outputs: classes or values.

    Returns:
        The network, perhaps without memory: to look at, not to use.

    Raises:
        SpecError: it cannot be built, or fails on an image; what depends on the size of images is tried where the spec
            says it.
        WeightsError: the weights file is missing, damaged, or of another network.
    """
    # Where the images' own size decides, that which the network was designed for.
    native = None if known_side(spec) else find_model(spec.model).image_size
    weights = spec.execution.place_of(spec.weights)
    if weights == "imagenet":
        require_imagenet(find_model(spec.model), spec.model_options)
    # The checkpoint of a run is looked for once its record is found.
    named = weights in NAMED_WEIGHTS or weights.startswith(RUN)
    content = None if named else weight_files.read_file(weights)

    outside = find_model(spec.model).source == "plugin"
    key = f"{n_outputs} {spec.model_dump_json(exclude=_OF_NO_NETWORK)}"

    def built(device: str) -> Network:
        with torch.random.fork_rng(devices=[]), torch.device(device):
            network = build_specified(spec, n_outputs, native_size=native, pretrained=False)
            if native is None and (outside or key not in _tried):
                try_sides(network, spec, n_outputs)
            if outside:
                try_plugin(network, spec.model, n_outputs)
        _tried.add(key)
        return network

    try:
        network = built("meta")
    except Exception:  # whatever cannot be done without memory
        network = built("cpu")
    if content is not None:
        plain = network
        if spec.temporal != "none":
            # A file is of the network below the temporal model.
            with torch.device("meta"):
                plain = build_specified(without_temporal(spec), n_outputs, native_size=native, pretrained=False)
        weight_files.fitting(plain, content, weights)
    return network


@contextmanager
def _unchanged(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients and a fork of the random numbers, for as long as it lasts."""
    modes = {module: module.training for module in network.modules()}
    devices = {parameter.device for parameter in network.parameters() if parameter.device.type == "cuda"}
    try:
        with torch.random.fork_rng(devices=list(devices)), torch.no_grad():
            network.eval()
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def first_line(error: BaseException) -> str:
    """What an error says, short enough for one line."""
    text = str(error).strip().splitlines()
    return text[0][:160].rstrip(". ") if text else "no detail"


def _advice(name: str, error: BaseException) -> str:
    if _CHANNELS.search(str(error)):
        return "Networks get 3 channels, of grey images too: make its first layer take 3."
    try:
        designed = find_model(name).image_size
    except FerBenchError:
        return "Choose another backbone, or another size of the images."
    return f"Set image_size to what it can take (it was designed for {designed} px), or choose another model."
