"""Predictions files as archives of arrays: what they declare is checked before anything is unpacked.

A header of a few bytes may claim terabytes, and 1 MB may unpack to 1 GB. So sizes, types and names are read first and
held against each other, against the record and against a bound; only then is memory asked for.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.errors import RecordError
from fer_bench.untrusted import read_regular, shown

# Of a file, and of all that it unpacks to: a million samples with long names fit.
MOST_BYTES = 2**30
_MOST_OUTPUTS = 4096
_MOST_MEMBERS = 4096
_CENTRAL_ENTRY = b"PK\x01\x02"
_FLAG = "flag_"
# Kinds and sizes of NumPy types, by column; of outputs see Layout.
_TYPES = {"ids": ("U", None), "groups": ("U", None), "targets": ("iuf", 8)}


class RowCountError(RecordError):
    """A predictions file has another number of rows than its record says."""


@dataclass(frozen=True)
class Layout:
    """What a kind of predictions file holds.

    Args:
        outputs: which types they may have: ``float32``, ``float16``.
        dimensions: of the outputs; the last but one counts samples.
        owner: what is to be repeated where the file is damaged.
    """

    outputs: tuple[str, ...]
    dimensions: int
    owner: str


SINGLE = Layout(("float32",), 2, "run")
# Probabilities in half precision, values in single precision.
STACKED = Layout(("float16", "float32"), 3, "grid")


def read_columns(
    path: Path, layout: Layout, sha256: str | None = None, n: int | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Arrays of a predictions file by name, as they are stored.

    Args:
        path: the ``.npz`` file.
        layout: what it should hold.
        sha256: of the whole file, if known.
        n: rows, if known.

    Raises:
        RecordError: missing, not the file that is meant, damaged, or of sizes, types or values that no predictions
            have.
        RowCountError: it has another number of rows than ``n``.
    """
    try:
        content = read_regular(path, MOST_BYTES)
    except FileNotFoundError:
        problem = f"{path}: the predictions file is missing."
        raise RecordError(
            problem, f"Restore it from version control, or remove the record and repeat the {layout.owner}."
        ) from None
    except OSError as error:
        problem = f"{path}: the predictions file cannot be read ({error.strerror})."
        raise RecordError(problem, f"Restore it from version control, or repeat the {layout.owner}.") from None
    hint = f"Restore it from version control, or repeat the {layout.owner}."
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        problem = f"{path}: the file is not the one that its record names (SHA-256 differs)."
        raise RecordError(problem, hint)
    try:
        with _archive(content) as archive:
            declared = _declared(archive)
            rows = _check(declared, layout)
            if n is not None and rows != n:
                problem = f"{path}: the file has {rows} rows, its record says {n}."
                raise RowCountError(problem, hint)
            arrays = {name: _unpack(archive, name) for name in declared}
        _check_values(arrays)
    except RowCountError:
        raise
    # Whatever bytes that somebody chose can make zipfile, zlib and NumPy raise.
    except Exception as error:
        problem = f"{path}: not a predictions file ({shown(error)})."
        raise RecordError(problem, hint) from None
    return arrays


def flags_of(arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.bool_]]:
    """The named boolean columns."""
    return {name.removeprefix(_FLAG): column for name, column in arrays.items() if name.startswith(_FLAG)}


def to_npz(columns: dict[str, npt.NDArray[Any]], flags: dict[str, npt.NDArray[np.bool_]]) -> bytes:
    """An archive of columns and flags; the same content always gives the same bytes."""
    buffer = io.BytesIO()
    named = {f"{_FLAG}{name}": column for name, column in sorted(flags.items())}
    groups = {"groups": columns["groups"]} if "groups" in columns else {}
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        **{name: column for name, column in columns.items() if name != "groups"},
        **named,
        **groups,
    )
    return buffer.getvalue()


def is_intact(path: Path, sha256: str, n: int) -> bool:
    """Whether a predictions file is the one that a record names; of its content only the declared number of rows is
    read.
    """
    try:
        content = read_regular(path, MOST_BYTES)
        if hashlib.sha256(content).hexdigest() != sha256:
            return False
        with _archive(content) as archive:
            return bool(_header(archive, "ids")[0] == (n,))
    # As in read_columns.
    except Exception:
        return False


def _archive(content: bytes) -> zipfile.ZipFile:
    # Each entry of the list of contents becomes a Python object.
    if content.count(_CENTRAL_ENTRY) > _MOST_MEMBERS:
        problem = f"more than {_MOST_MEMBERS} members"
        raise ValueError(problem)
    return zipfile.ZipFile(io.BytesIO(content))


def _declared(archive: zipfile.ZipFile) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shapes and types by name; nothing is unpacked but headers."""
    members = archive.infolist()
    names = [member.filename.removesuffix(".npy") for member in members]
    if len(set(names)) < len(names) or any(not member.filename.endswith(".npy") for member in members):
        raise ValueError("a member occurs twice, or is not an array")
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise ValueError("a member is compressed in another way than by deflate")
    unpacked = sum(member.file_size for member in members)
    if unpacked > MOST_BYTES:
        problem = f"it would unpack to {unpacked} bytes, more than {MOST_BYTES}"
        raise ValueError(problem)
    return {name: _header(archive, name) for name in names}


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            problem = f"{shown(name, 40)}: another version of the format"
            raise ValueError(problem)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        size = math.prod(shape) * dtype.itemsize
        if (
            dtype.hasobject
            or dtype.itemsize == 0
            or any(length < 0 for length in shape)
            or file.tell() + size != info.file_size
        ):
            problem = (
                f"{shown(name, 40)}: shape {shown(shape, 60)} of type {shown(dtype, 40)} does not fit the"
                f" {info.file_size} bytes that are there"
            )
            raise ValueError(problem)
    return shape, dtype


def _check(declared: dict[str, tuple[tuple[int, ...], np.dtype[Any]]], layout: Layout) -> int:
    """Hold names, types and shapes against each other; returns the number of rows."""
    (rows, *more), _ = declared["ids"]
    for name, (shape, dtype) in declared.items():
        if name == "outputs":
            fits = (
                dtype in [np.dtype(name) for name in layout.outputs]
                and len(shape) == layout.dimensions
                and shape[-2] == rows
                and 1 <= shape[-1] <= _MOST_OUTPUTS
            )
        elif name.startswith(_FLAG):
            fits = dtype == np.dtype(bool) and shape == (rows,)
        elif name in _TYPES:
            kinds, most = _TYPES[name]
            wide = len(shape) == 2 and name == "targets" and 1 <= shape[1] <= _MOST_OUTPUTS
            fits = (
                dtype.kind in kinds
                and (most is None or dtype.itemsize <= most)
                and (shape == (rows,) or (wide and shape[0] == rows))
            )
        else:
            fits = False
        if not fits or more:
            problem = (
                f"{shown(name, 40)} of shape {shown(shape, 60)} and type {shown(dtype, 40)} is not a column of"
                f" predictions with {rows} ids"
            )
            raise ValueError(problem)
    for name in ("targets", "outputs"):
        if name not in declared:
            problem = f"there are no {name}"
            raise ValueError(problem)
    return rows


def _unpack(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    with archive.open(f"{name}.npy") as file:
        array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        # Reading to the end is what checks the sum.
        file.read(1)
        return array


def _check_values(arrays: dict[str, npt.NDArray[Any]]) -> None:
    if np.isinf(arrays["outputs"]).any():
        raise ValueError("some outputs are infinite")
    if arrays["targets"].dtype.kind == "f" and not np.isfinite(arrays["targets"]).all():
        raise ValueError("some targets are not finite")
    for name in ("ids", "groups"):
        if name in arrays:
            # Halves of surrogate pairs, and numbers that are no character.
            "".join(arrays[name].tolist()).encode()
