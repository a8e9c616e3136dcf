"""Files that the settings of a run name: what is in them decides the result, not where they are.

The digest of a file is in the settings, and its place among those of the execution: the same bytes elsewhere are
the same run, other bytes under the same name another, and no path is published.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_bench import paths
from fer_bench.errors import MissingDataError

PINNED = "sha256:"
# Weights of a run of this suite, by its id: the record says which they are.
RUN = "run:"
NAMED_WEIGHTS = ("none", "auto", "imagenet")
# Options of datasets that name a file.
_FILE_OPTIONS = ("landmarker", "manifest")
# Labels are pinned without a prefix.
_DIGEST = re.compile(r"[0-9a-f]{12}")


def places(execution: Any) -> dict[str, Any] | None:
    """What settings say of the execution, as plain types; None where that is no mapping, which the validation refuses
    by name.
    """
    if execution is None:
        return {}
    if isinstance(execution, Mapping):
        return dict(execution)
    return execution.model_dump() if hasattr(execution, "model_dump") else None


def pinned(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a run with digests where paths of label files, weights and models are.

    Raises:
        MissingDataError: a file cannot be read.
    """
    done = dict(settings)
    execution = places(done.get("execution"))
    if execution is None:
        return done
    labels, weights, options = done.get("labels", ""), done.get("weights", "none"), done.get("dataset_options")
    files = dict(execution.get("files") or {})
    if isinstance(labels, str) and labels and not _DIGEST.fullmatch(labels):
        path = Path(labels).resolve()
        done["labels"], execution["labels_file"] = file_digest(path), str(path)
    if isinstance(weights, str) and weights not in NAMED_WEIGHTS and not weights.startswith(RUN):
        done["weights"] = pin(weights, "weights", files)
    if isinstance(options, Mapping) and (
        named := {key: options[key] for key in _FILE_OPTIONS if isinstance(options.get(key), str)}
    ):
        done["dataset_options"] = {
            **options,
            **{key: pin(value, f"dataset_options.{key}", files) for key, value in named.items()},
        }
    if files:
        execution["files"] = files
    return done | {"execution": execution} if execution else done


def pin(text: str, setting: str, files: dict[str, str]) -> str:
    """The digest that replaces a file in the settings.

    Args:
        text: path of the file, or a digest already.
        setting: which setting names it, for the error.
        files: where the files are, by digest; is filled.

    Raises:
        MissingDataError: it cannot be read.
    """
    if text.startswith(PINNED):
        return text
    path = paths.expanded(text).resolve()
    hint = "Correct the path, or use none or imagenet." if setting == "weights" else "Correct the path."
    digests = [file_digest(file, setting, hint) for file in (path, *_named_in(path))]
    found = PINNED + (digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()[:12])
    files[found] = str(path)
    return found


def _named_in(path: Path) -> list[Path]:
    """The files next to a ``model.json`` of TensorFlow.js that hold its weights: it has none itself."""
    if path.suffix != ".json":
        return []
    try:
        return [
            path.parent / str(name)
            for group in json.loads(path.read_text(encoding="utf-8"))["weightsManifest"]
            for name in group["paths"]
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        # Whoever reads it says what is wrong with it.
        return []


def file_digest(
    path: Path, what: str = "label file", hint: str = "`fer-bench study reannotation` writes one as consensus.csv."
) -> str:
    """Twelve hexadecimal digits of a file's SHA-256.

    Raises:
        MissingDataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        problem = f"{what} {path}: {why}."
        raise MissingDataError(problem, hint) from None
