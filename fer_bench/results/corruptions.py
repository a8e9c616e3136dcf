"""What a row is worth on corrupted images: one file per record, in a separate tree next to the records, which never
change for it.

``<root>/corruptions/<protocol>/<model>/<run_id>.json`` holds every score on corrupted images and, packed, the answers
from which ``fer-bench verify`` recomputes them; ``<run_id>.png`` shows them. The file names what it is of: the stored
predictions, the weights and the inputs of the record. After a run was trained anew its former file is of another
network, and no board shows it.
"""

from __future__ import annotations

import base64
import contextlib
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from fer_bench.atomic import write_atomically
from fer_bench.errors import DamagedFileWarning, HardwareError, RecordError
from fer_bench.results.beside import read_beside, require_run
from fer_bench.results.inputs import digest
from fer_bench.results.record import FileName, Record
from fer_bench.results.store import Store
from fer_bench.untrusted import shown

# Raised when a corruption or a strength changes; files of another version are not shown next to those of this one.
VERSION = 1
N_STRENGTHS = 5
# By family, what each corruption is called.
FAMILIES: dict[str, dict[str, str]] = {
    "blur": {"gaussian_blur": "Gaussian blur", "motion_blur": "motion blur", "defocus_blur": "defocus blur"},
    "noise": {"gaussian_noise": "Gaussian noise", "shot_noise": "shot noise", "impulse_noise": "impulse noise"},
    "light and storage": {
        "brightness": "brightness",
        "contrast": "low contrast",
        "jpeg": "JPEG",
        "low_resolution": "low resolution",
    },
    "face": {"covered_eyes": "eyes covered", "covered_mouth": "mouth covered", "rotation": "rotation"},
}
TITLES = {name: title for family in FAMILIES.values() for name, title in family.items()}
# What scenes without one face each leave out.
NEED_FACES = frozenset({"covered_eyes", "covered_mouth"})
FOLDER = "corruptions"
_MOST_BYTES = 256 * 2**20

Interval = tuple[float, float] | None
Answers = dict[str, npt.NDArray[Any]]


class Corrupted(BaseModel):
    """Scores of one record on corrupted images.

    Args:
        version: of the corruptions and their strengths.
        metric: the score, the one by which the protocol ranks.
        n: test samples.
        of: what it was measured with: ``predictions``, the SHA-256 of the record's test predictions; ``weights``, that
            of the network; ``inputs``, the digest of the record's fingerprint.
        clean: the score of the record's stored predictions.
        scores: by corruption, one score per strength; None where it is undefined.
        mean: over all corruptions and strengths.
        drop: (clean - mean) / clean; None where clean is not above zero.
        intervals: 95 %, bootstrap over test samples (whole groups where predictions have groups): of ``mean``,
            ``drop``, and of each corruption's mean over strengths.
        faces: where the eyes and the mouth of how many samples were taken from.
        left_out: corruptions that were not measured, and why.
        answers: packed, see :func:`pack`.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    run_id: FileName
    protocol: FileName
    model: str
    version: int = VERSION
    metric: str
    n: int = Field(ge=1)
    of: dict[str, str]
    clean: float | None
    scores: dict[str, list[float | None]]
    mean: float | None
    drop: float | None
    intervals: dict[str, Interval]
    faces: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    code: dict[str, Any] = {}
    hardware: dict[str, Any] = {}
    created: str = ""
    answers: dict[str, str] = {}

    def to_json(self) -> str:
        """The file's content."""
        return self.model_dump_json(indent=1) + "\n"

    @classmethod
    def load(cls, path: Path, strict: bool = False) -> Corrupted:
        """Read a file.

        Args:
            path: of the file.
            strict: as of :meth:`fer_bench.results.record.Record.load`.

        Raises:
            RecordError: unreadable, damaged, or not where it says it belongs.
        """
        found = read_beside(
            cls, path, _MOST_BYTES, "the scores on corrupted images", "evaluate RUN --corruptions", strict=strict
        )
        require_run(path, found.protocol, found.model, found.run_id, path.stem)
        return found


def made_with(record: Record) -> dict[str, str]:
    """What a file names of its record."""
    return {
        "predictions": record.predictions["test"].sha256,
        "weights": str(record.training.get("weights_sha256") or ""),
        "inputs": digest(record.inputs) if record.inputs else "",
    }


def is_of(found: Corrupted, record: Record) -> bool:
    """Whether a file is of a record as it is now, and of the corruptions of this version."""
    return found.version == VERSION and "test" in record.predictions and found.of == made_with(record)


def path_of(store: Store, record: Record) -> Path:
    """Where a record's scores on corrupted images are, or would be."""
    # The store checks that the names lead nowhere else.
    inner = store.path(record.protocol, record.model, record.run_id).relative_to(store.results)
    return store.root / FOLDER / inner


def find(store: Store, record: Record) -> Corrupted | None:
    """The scores of a record on corrupted images; None where they were not measured, or with another network.

    Raises:
        RecordError: the file is damaged.
    """
    path = path_of(store, record)
    if not path.is_file():
        return None
    found = Corrupted.load(path)
    return found if is_of(found, record) else None


def find_intact(store: Store, record: Record) -> Corrupted | None:
    """As :func:`find`; a damaged file is left out with a notice, for boards and pages are of more than it."""
    try:
        return find(store, record)
    except RecordError as error:
        warnings.warn(f"left out: {error}", DamagedFileWarning, stacklevel=2)
        return None


def protocols(store: Store) -> list[str]:
    """Names of the protocols with any such file, sorted."""
    return sorted({path.parent.parent.name for path in (store.root / FOLDER).glob("*/*/*.json")})


def files(store: Store, protocol: str) -> Iterator[Path]:
    """All files of a protocol, sorted."""
    yield from sorted((store.root / FOLDER / protocol).glob("*/*.json"))


def put(store: Store, record: Record, found: Corrupted, figure: bytes) -> Path:
    """Write a record's scores on corrupted images, and the picture of them.

    Returns:
        The file.

    Raises:
        HardwareError: the disk is full or read-only; a former file stays whole.
    """
    path = path_of(store, record)
    try:
        # A figure of other scores must not be next to the file, wherever this is stopped.
        with contextlib.suppress(FileNotFoundError):
            path.with_suffix(".png").unlink()
        write_atomically(path, found.to_json().encode())
        write_atomically(path.with_suffix(".png"), figure)
    except OSError as error:
        problem = f"the scores on corrupted images cannot be written to {path.parent}: {error.strerror or error}."
        raise HardwareError(
            problem, "Free some space or fix the permissions, and run the same command again."
        ) from None
    return path


def pack(answers: npt.NDArray[Any]) -> str:
    """Answers of one corruption as text: base64 of their deflated bytes, in little-endian order.

    Args:
        answers: shape (S, N), class ids with -1 for no answer, stored in 16 bits; or (S, N, D), values, stored in half
            precision, NaN for no answer.
    """
    kind = "<f2" if answers.ndim == 3 else "<i2"
    return base64.b64encode(zlib.compress(np.ascontiguousarray(answers.astype(kind)).tobytes(), 9)).decode("ascii")


def unpack(text: str, n: int, dimensions: int = 0) -> npt.NDArray[Any]:
    """Text to answers of ``n`` samples; ``dimensions`` 0: classes.

    Raises:
        RecordError: no such text, or of another number of samples.
    """
    shape = (N_STRENGTHS, n, dimensions) if dimensions else (N_STRENGTHS, n)
    wanted = 2 * int(np.prod(shape, dtype=object))
    try:
        inflate = zlib.decompressobj()
        content = inflate.decompress(base64.b64decode(text, validate=True), wanted + 1)
    except (ValueError, zlib.error) as error:
        problem = f"answers: {shown(error)}."
        raise RecordError(problem) from None
    if len(content) != wanted:
        problem = (
            f"answers: {len(content)} bytes{' or more' if len(content) > wanted else ''} where {n} samples need"
            f" {wanted}."
        )
        raise RecordError(problem)
    values = np.frombuffer(content, dtype="<f2" if dimensions else "<i2").reshape(shape)
    return values.astype(np.float64 if dimensions else np.int64)


def unpack_all(found: Corrupted, n: int, dimensions: int = 0) -> Answers:
    """Answers to every corruption, as :func:`unpack`."""
    return {name: unpack(text, n, dimensions) for name, text in found.answers.items()}


def against_clean(drop: float, interval: Interval = None) -> str:
    """A relative drop in words: ``12.3 % below clean``, or above it, as errors are; with its interval, if any."""
    sign, side = (100, "below") if round(100 * drop, 1) >= 0 else (-100, "above")
    low, high = sorted(sign * end for end in interval) if interval else (0.0, 0.0)
    # z: a zero has no sign; means of equal scores may differ in their last bit.
    reach = f" (95 % interval {low:z.1f} to {high:z.1f})" if interval else ""
    return f"{sign * drop:z.1f} % {side} clean{reach}"


def mean_drop(found: Mapping[str, Corrupted]) -> tuple[float, float | None] | None:
    """Mean score and mean relative drop of several runs; None without any that is defined."""
    means = [one.mean for one in found.values() if one.mean is not None]
    drops = [one.drop for one in found.values() if one.drop is not None]
    if not means:
        return None
    return float(np.mean(means)), float(np.mean(drops)) if len(drops) == len(means) else None
