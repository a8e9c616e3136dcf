"""Files of weights, and digests of what networks hold."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fer_bench import paths
from fer_bench.errors import WeightsError
from fer_bench.models.converting import fitting, nested
from fer_bench.models.hub import hub_or_explain
from fer_bench.packages import require
from fer_bench.untrusted import shown

__all__ = ["fitting", "hub_or_explain", "read_file", "require_weights", "tensors_digest", "weights_digest"]

# Suffix of files in which the norms are part of the convolutions.
FOLDED = ".json"
# How files begin that are taken for checkpoints: what each is, and what to do.
_OTHERS = {
    b"version https://git-lfs": (
        "a pointer of Git LFS, which stands for the file",
        "Fetch the file itself, with `git lfs pull` or by its address.",
    ),
    b"<": ("a web page", "The address answered with a page: download the file again, in a browser if need be."),
    b"\x89HDF": ("an HDF5 file, as Keras writes them", "Use a .pth, .pt, .ckpt or .safetensors file."),
}
# In PyTorch's refusal of a pickle that names a class or a function.
_HELD = re.compile(r"GLOBAL ([\w.]+)")


def read_file(path: str) -> dict[str, Any]:
    """Read a checkpoint or state dict without running any code that it may hold.

    Raises:
        WeightsError: missing, damaged, or holding more than tensors and plain values.
    """
    file = paths.expanded(path)
    if not file.is_file():
        problem = f"weights = {path!r}: there is no such file."
        raise WeightsError(
            problem, "Use none, imagenet, or the path of a .pth, .pt, .ckpt or .safetensors file, or of a model.json."
        )
    if file.suffix == FOLDED:
        from fer_bench.models.mobilenet_v1 import read_mobilenet

        return dict(read_mobilenet(file))
    try:
        if file.suffix.lower() == ".safetensors":
            require(("safetensors",))
            from safetensors.torch import load_file as load_safetensors

            try:
                return dict(load_safetensors(str(file)))
            except Exception as error:  # its own class of errors, which derives from nothing narrower
                raise ValueError(str(error)) from None
        with warnings.catch_warnings():
            # What it warns of is refused below.
            warnings.simplefilter("ignore")
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        OSError,
        LookupError,
        AttributeError,
        TypeError,
        ImportError,
    ) as error:
        reason, hint = _why_unreadable(file, error)
        problem = f"{file}: not a readable checkpoint ({reason})."
        raise WeightsError(problem, hint) from None
    if not isinstance(content, dict):
        problem = f"{file}: holds a {type(content).__name__}, not a state dict."
        raise WeightsError(problem, "Save model.state_dict() and use that.")
    for _, tensors in nested(content):
        if empty := [name for name, tensor in tensors.items() if tensor.is_meta]:
            problem = f"{file}: {empty[0]} has no data: it was saved from the device meta."
            raise WeightsError(problem, "Load the network's weights before you save its state dict.")
    return content


def _why_unreadable(file: Path, error: Exception) -> tuple[str, str]:
    """What a file is that is no checkpoint, and what to do: PyTorch's own words are about its settings."""
    with contextlib.suppress(OSError), file.open("rb") as stream:
        start = stream.read(64).lstrip()
        if known := next((said for begins, said in _OTHERS.items() if start.startswith(begins)), None):
            return known
        if not start:
            return "there is nothing in it", "Download or copy it again."
    if held := _HELD.search(str(error)):
        return (
            f"besides tensors it holds {held[1]}, which is code",
            "Save model.state_dict() where that code is, and use that.",
        )
    with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(file) as archive:
        return _what_archive(archive.namelist())
    first = next(iter(str(error).splitlines()), "").partition(". ")[0] or type(error).__name__
    reason = "no file of PyTorch's" if isinstance(error, pickle.UnpicklingError) else shown(first, 120)
    return reason, "The file is damaged, or of another kind; use another one."


def _what_archive(names: list[str]) -> tuple[str, str]:
    """What an archive is that PyTorch does not read as a checkpoint."""
    if any(name.endswith("/constants.pkl") for name in names):
        return "a program of TorchScript", "Save torch.jit.load(file).state_dict() with torch.save, and use that."
    if names and all(name.endswith(".npy") for name in names):
        return "arrays of NumPy", "Save the network's state dict with torch.save, and use that."
    if any(name.endswith("data.pkl") for name in names):
        return "a checkpoint whose content is damaged", "Download or copy it again."
    return "an archive without a checkpoint in it", "Unpack it, and use a checkpoint that is in it, if any."


def weights_digest(network: nn.Module) -> str:
    """Sha256 (hexadecimal) over names, types, shapes and bytes of a state dict, in the order of the names."""
    return tensors_digest(network.state_dict().items())


def tensors_digest(named: Iterable[tuple[str, torch.Tensor]]) -> str:
    """As :func:`weights_digest`, of tensors with their names."""
    digest = hashlib.sha256()
    for name, value in sorted(named, key=lambda item: item[0]):
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
