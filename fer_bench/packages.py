"""Which extra of this package installs which library, and the one line that a user reads where a library is missing or
broken.

The tables follow ``pyproject.toml``. Modules import what they need, where they need it; :func:`explain` turns whatever
``ImportError`` comes of that into a :class:`MissingPackageError`, for every verb in one place. Where another extra is
meant than the first that installs a library, and where a package should be asked for before anything long begins,
:func:`require` asks for it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable

from fer_bench.errors import MissingPackageError

# Module -> (what it is installed as, the extra that installs it; empty: every installation has it).
PACKAGES: dict[str, tuple[str, str]] = {
    "torch": ("torch", "train"),
    "torchvision": ("torchvision", "train"),
    "lightning": ("lightning", "train"),
    "pytorch_lightning": ("lightning", "train"),
    "lightning_fabric": ("lightning", "train"),
    "timm": ("timm", "train"),
    "safetensors": ("safetensors", "train"),
    "huggingface_hub": ("huggingface_hub", "train"),
    "torchmetrics": ("torchmetrics", "train"),
    "transformers": ("transformers", "hf"),
    "albumentations": ("albumentations", "train"),
    "cv2": ("opencv-python", "train"),
    "optuna": ("optuna", "tune"),
    "wandb": ("wandb", "wandb"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "crowdkit": ("crowd-kit", "study"),
    "cleanlab": ("cleanlab", "study"),
    "pyarrow": ("pyarrow", "study"),
    "mediapipe": ("mediapipe", "faces"),
    "onnx": ("onnx", "onnx"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "onnxscript": ("onnxscript", "onnx"),
    "fsspec": ("fsspec", "s3"),
    "s3fs": ("s3fs", "s3"),
    "httpx": ("httpx", "download"),
    "ray": ("ray", "ray"),
    "submitit": ("submitit", "slurm"),
    "starlette": ("starlette", "annotate"),
    "uvicorn": ("uvicorn", "annotate"),
    "markupsafe": ("markupsafe", "annotate"),
    "numpy": ("numpy", ""),
    "scipy": ("scipy", ""),
    "sklearn": ("scikit-learn", ""),
    "pandas": ("pandas", ""),
    "pydantic": ("pydantic", ""),
    "yaml": ("pyyaml", ""),
    "typer": ("typer", ""),
    "rich": ("rich", ""),
    "filelock": ("filelock", ""),
    "jinja2": ("jinja2", ""),
    "markdown_it": ("markdown-it-py", ""),
    "matplotlib": ("matplotlib", ""),
    "PIL": ("pillow", ""),
}
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def explain(error: ImportError, extra: str | None = None) -> MissingPackageError | None:
    """The error for a user whose installation lacks a package, or holds one that cannot be loaded.

    Args:
        error: of an import.
        extra: the extra to name; None: the first that installs the package.

    Returns:
        The error with the command that installs it; None where the module is none that this package knows, which is a
        fault of ours.
    """
    # pandas and Lightning name what they miss in the text alone.
    named = [(error.name or "").partition(".")[0], *_WORD.findall(str(error))]
    module = next((name for name in named if name in PACKAGES), None)
    if module is None:
        return None
    package, own = PACKAGES[module]
    wanted = own if extra is None else extra
    command = f"pip install 'fer_bench[{wanted}]'" if wanted else "pip install --force-reinstall fer_bench"
    if isinstance(error, ModuleNotFoundError) or error.path is None:
        problem = f"the package {package} is missing, which is needed for this."
        return MissingPackageError(problem, f"Install it ({command}).")
    detail = (str(error).splitlines() or ["no detail"])[0][:160]
    problem = f"the package {package} is installed but cannot be loaded ({detail})."
    without_screen = ", or opencv-python-headless where there is no screen" if module == "cv2" else ""
    return MissingPackageError(problem, f"Reinstall it (pip install --force-reinstall {package}{without_screen}).")


def require(modules: Iterable[str], extra: str | None = None) -> None:
    """Ask for packages before anything long begins.

    Args:
        modules: their names, as imported.
        extra: the extra to name where one is missing; None: the first that installs it.

    Raises:
        MissingPackageError: with the command that installs it.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            found = explain(error, extra)
            if found is None:
                raise
            raise found from None
