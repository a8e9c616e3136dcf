"""Where weights come from: nowhere, a hub, or a file."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from fer_bench.errors import FerBenchError, WeightsError
from fer_bench.models.catalog import ModelEntry
from fer_bench.packages import require

T = TypeVar("T")
WAYS_OUT = (
    "Train from scratch with weights=none (see the scratch recipes), or fetch the file on a machine with network access and pass its path as weights=PATH."
)


def hub_or_explain(fetch: Callable[[], T], what: str) -> T:
    """Run something that downloads weights, and turn every network failure into one that says what to do."""
    try:
        return fetch()
    except (FerBenchError, TypeError, ImportError):
        # A TypeError is a setting that the model does not have, an ImportError a package that is missing.
        raise
    except Exception as error:  # hubs raise whatever their HTTP library raises
        detail = str(error).splitlines()[0][:120] if str(error) else "no detail"
        problem = f"the pretrained weights of {what} cannot be downloaded ({type(error).__name__}: {detail})."
        raise WeightsError(problem, WAYS_OUT) from None


def load_hub(body: nn.Module, entry: ModelEntry) -> None:
    """Load torchvision's ImageNet weights into a body that still has its thousand outputs."""
    import torchvision

    chosen = torchvision.models.get_model_weights(entry.builder)[entry.weights]
    body.load_state_dict(hub_or_explain(lambda: chosen.get_state_dict(progress=False, check_hash=True), entry.builder))


def read_file(path: str) -> dict[str, Any]:
    """Read a checkpoint or state dict without running any code that it may hold.

    Raises:
        WeightsError: missing, damaged, or holding more than tensors and plain values.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        problem = f"weights = {path!r}: there is no such file."
        raise WeightsError(problem, "Use none, imagenet, or the path of a .pth, .pt, .ckpt or .safetensors file.")
    try:
        if file.suffix == ".safetensors":
            require(("safetensors",))
            from safetensors.torch import load_file as load_safetensors

            try:
                return dict(load_safetensors(str(file)))
            except Exception as error:  # its own class of errors, which derives from nothing narrower
                raise ValueError(str(error)) from None
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError, LookupError, AttributeError, TypeError, ImportError) as error:
        problem = f"{file}: not a readable checkpoint ({str(error).splitlines()[0][:120] if str(error) else type(error).__name__})."
        raise WeightsError(problem, "The file is damaged or holds code; use another one.") from None
    if not isinstance(content, dict):
        problem = f"{file}: holds a {type(content).__name__}, not a state dict."
        raise WeightsError(problem, "Save model.state_dict() and use that.")
    return content


def load_file(network: nn.Module, path: str) -> None:
    """Load a checkpoint of this suite, a whole network's state dict, or a body's state dict.

    A final layer of another size is left fresh; every other mismatch is an error that names the tensor and both shapes.

    Raises:
        WeightsError: unreadable, or not of this architecture.
    """
    network.load_state_dict(fitting(network, read_file(path), path), strict=False)


def fitting(network: nn.Module, content: dict[str, Any], path: str) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint that a network takes, by its own names; arguments and errors as of :func:`load_file`.

    Args:
        network: may be without memory, on the device ``meta``.
        content: of the file.
        path: of the file, for the error.
    """
    inner = content.get("state_dict", content.get("model", content))
    named = inner.items() if isinstance(inner, dict) else ()
    state = {str(key).removeprefix("module.").removeprefix("network."): value for key, value in named if isinstance(value, torch.Tensor)}
    own = network.state_dict()
    if state and not any(key in own for key in state):
        state = {f"body.{key}": value for key, value in state.items()}
    matching = {key: value for key, value in state.items() if key in own}
    if len(matching) < 0.5 * len(own):
        problem = f"{path}: {len(matching)} of {len(own)} tensors have a name that this network knows; it is of another architecture."
        raise WeightsError(problem, "Choose the model that the file was made with.")
    heads = set(list(own)[-2:])
    for key, value in list(matching.items()):
        if value.shape != own[key].shape:
            if key in heads:
                del matching[key]
                continue
            problem = f"{path}: {key} has shape {tuple(value.shape)}, the network needs {tuple(own[key].shape)}."
            raise WeightsError(problem, "Choose the model, the image size and the options that the file was made with.")
    absent = [key for key in own if key not in matching and key not in heads and not key.endswith("num_batches_tracked")]
    if absent:
        problem = f"{path}: {len(absent)} tensors are missing, the first is {absent[0]}."
        raise WeightsError(problem, "Choose the model that the file was made with.")
    return matching


def weights_digest(network: nn.Module) -> str:
    """Sha256 (hexadecimal) over names, types, shapes and bytes of a state dict, in the order of the names."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name}|{value.dtype}|{tuple(value.shape)}|".encode())
        digest.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def require_weights(network: nn.Module, stated: str | None, path: Path, run_id: str) -> None:
    """Refuse a checkpoint that is not the one that a record was made with.

    Args:
        network: with the checkpoint's weights.
        stated: digest in the record; None in records from before it was kept, which cannot be checked.
        path: of the checkpoint.
        run_id: of the record.

    Raises:
        WeightsError: it is another.
    """
    if stated is not None and weights_digest(network) != stated:
        problem = f"{path} is not the checkpoint that run {run_id} was recorded with: its weights differ."
        raise WeightsError(problem, "Copy the right one there, or repeat the run with --force.")
