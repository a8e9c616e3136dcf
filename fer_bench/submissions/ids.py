"""Which sample a row is about: by the sample's id, by a file's name, or by a digest of the image."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from fer_bench.data.sample_names import picture_names
from fer_bench.data.samples import Images
from fer_bench.errors import BadDataError
from fer_bench.submissions.answers import Answers
from fer_bench.untrusted import shown

_DIGEST = re.compile(r"[0-9a-f]{16,64}")


def image_digest(image: npt.NDArray[np.uint8]) -> str:
    """SHA-256 of an image's pixels, row by row, 64 hexadecimal digits.

    Args:
        image: uint8, (H, W) grey or (H, W, 3) RGB.
    """
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def place(answers: Answers, ids: Sequence[str], images: Images | None) -> npt.NDArray[np.int64]:
    """The row of a file that answers each sample.

    Args:
        answers: of the file.
        ids: M ids of the samples, unique.
        images: of the samples, for rows that name them by digest; None where they are not on this machine.

    Returns:
        Shape (M,), the row of each sample's answer, -1 for a sample that no row is about.

    Raises:
        BadDataError: a row is about no sample, or two rows are about the same; names the first such row.
    """
    digests = answers.by_digest or all(_DIGEST.fullmatch(name.lower()) for name in answers.names)
    if digests and not set(answers.names) & set(ids):
        return _by_digest(answers, images)
    best: list[int] = []
    for known in _ways(ids):
        found = [known(name) for name in answers.names]
        if not best or sum(i >= 0 for i in found) > sum(i >= 0 for i in best):
            best = found
        if min(best) >= 0:
            break
    if min(best) < 0:
        what = f"no test sample is called {{}} (they are called like {shown(ids[0], 40)!r})"
        _refuse_unknown(answers, best.index(-1), what, best.count(-1))
    _refuse_doubles(answers, best)
    at = np.full(len(ids), -1, dtype=np.int64)
    at[best] = np.arange(len(best))
    return at


def _ways(ids: Sequence[str]) -> list[Callable[[str], int]]:
    """From a name to a position, strictest first: the id; digits as a number; the name of a picture as ``images``
    writes it, below any folder; the last part of an id that is a path.
    """
    exact = {name: i for i, name in enumerate(ids)}
    pictures = {name: i for i, name in enumerate(picture_names(ids))}
    lasts = Counter(PurePosixPath(name).name for name in ids)
    last = {PurePosixPath(name).name: i for i, name in enumerate(ids) if lasts[PurePosixPath(name).name] == 1}
    stems = Counter(PurePosixPath(name).stem for name in last)
    stem = {PurePosixPath(name).stem: i for name, i in last.items() if stems[PurePosixPath(name).stem] == 1}
    digits = {int(name): i for name, i in exact.items() if name.isascii() and name.isdigit()}
    numbered = len(digits) == len(exact)

    def by_number(name: str) -> int:
        text = name.removesuffix(".0")
        return digits.get(int(text), -1) if numbered and text.isascii() and text.isdigit() and len(text) < 20 else -1

    def by_picture(name: str) -> int:
        path = PurePosixPath(name.replace("\\", "/"))
        whole = str(path.with_suffix("")) if path.name else ""
        parts = whole.split("/")
        ends = ("/".join(parts[i:]) for i in range(len(parts)))
        return next((pictures[end] for end in ends if end in pictures), by_number(path.stem))

    def by_last(name: str) -> int:
        path = PurePosixPath(name.replace("\\", "/"))
        return last.get(path.name, stem.get(path.stem, -1))

    return [lambda name: exact.get(name, -1), by_number, by_picture, by_last]


def _by_digest(answers: Answers, images: Images | None) -> npt.NDArray[np.int64]:
    if images is None:
        problem = f"{answers.table.path}: its rows name images by digest, and the images are not on this machine."
        raise BadDataError(problem, "Name the dataset's folder with --data-dir, or give the ids of the samples.")
    given = [name.lower() for name in answers.names]
    width = min(map(len, given))
    if not all(_DIGEST.fullmatch(name) for name in given):
        row = next(i for i, name in enumerate(given) if not _DIGEST.fullmatch(name))
        _refuse_unknown(answers, row, "{} is no digest of 16 to 64 hexadecimal digits", 1)
    samples: dict[str, list[int]] = {}
    for i in range(len(images)):
        samples.setdefault(image_digest(np.asarray(images[i]))[:width], []).append(i)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(given):
        rows.setdefault(name[:width], []).append(row)
    at = np.full(len(images), -1, dtype=np.int64)
    unknown = [row for name, where in rows.items() if name not in samples for row in where]
    if unknown:
        _refuse_unknown(answers, min(unknown), "no test image has the digest {}", len(unknown))
    for name, where in rows.items():
        # The same picture may be in a test set several times: one row answers all of them, or each has its own.
        if len(where) not in (1, len(samples[name])):
            _refuse_double(answers, where[0], where[1])
        at[samples[name]] = where
    return at


def _refuse_unknown(answers: Answers, row: int, what: str, n: int) -> None:
    name = repr(shown(answers.names[row], 60))
    more = f"; {n - 1} more such row{'' if n == 2 else 's'}" if n > 1 else ""
    problem = f"{answers.table.where(row)}: {what.format(name)}{more}."
    raise BadDataError(problem, "`fer-bench template` writes the ids of the images to answer.")


def _refuse_doubles(answers: Answers, found: list[int]) -> None:
    first: dict[int, int] = {}
    for row, i in enumerate(found):
        if i in first:
            _refuse_double(answers, first[i], row)
        first[i] = row


def _refuse_double(answers: Answers, a: int, b: int) -> None:
    rows = [answers.table.where(row) for row in (a, b)]
    names = [shown(answers.names[row], 60) for row in (a, b)]
    problem = (
        f"{rows[1]}: {names[1]!r} is the sample that {rows[0].rpartition(', ')[2]} answers already ({names[0]!r})."
    )
    raise BadDataError(problem, "Leave one row per image.")
