"""Exported files before anything of them is read: what they are called, and the packages that they need. Imports
nothing heavy.
"""

from __future__ import annotations

from typing import Any

from fer_bench.packages import require


def is_exported(reference: str) -> bool:
    """Whether a reference means an exported file."""
    return reference.lower().endswith(".onnx")


def require_packages(reference: str) -> None:
    """Ask for what a run or an exported file needs: the second gets by without the extra ``train``.

    Args:
        reference: a run, or the path of a file.

    Raises:
        MissingPackageError: names the extra.
    """
    if is_exported(reference):
        require(("onnxruntime", "cv2"), "onnx")
    else:
        require(("torch", "lightning", "cv2"))


def import_onnxruntime() -> Any:
    """The package onnxruntime.

    Raises:
        MissingPackageError: it is not installed.
    """
    require(("onnxruntime",))
    import onnxruntime

    return onnxruntime
