"""Which sample a row is about: by the sample's id, by a file's name, or by a digest of the image."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from fer_bench.data.sample_names import picture_names
from fer_bench.data.samples import Images
from fer_bench.data.split_names import split_of
from fer_bench.errors import BadDataError
from fer_bench.submissions.answers import Answers
from fer_bench.untrusted import shown

_NONE, _SEVERAL = -1, -2
# Answers to one picture that differ by less are those of one program.
_SAME = 1e-3
_TEMPLATE = "`fer-bench template` writes them."
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
        BadDataError: a row is about no sample, may be about several, or is about another one by another of its names;
            or two rows are about the same. Names the first such row.
    """
    if answers.by_digest:
        return _by_digest(answers, images)
    found = find(answers.names, ids)
    if max(found) < 0 and all(_DIGEST.fullmatch(name.lower()) for name in answers.names):
        return _by_digest(answers, images)
    _refuse_unfound(answers, found, ids)
    _refuse_doubles(answers, found)
    for column, names in answers.also.items():
        _refuse_other(answers, found, column, names, ids)
    at = np.full(len(ids), -1, dtype=np.int64)
    at[found] = np.arange(len(found))
    return at


def find(names: Sequence[str], ids: Sequence[str]) -> list[int]:
    """The sample that each name means, all by the one way that finds most of them.

    Args:
        names: N names of images or ids, as another program writes them.
        ids: M ids of the samples, unique.

    Returns:
        N positions in ``ids``; -1 for no sample, -2 for one of several that cannot be told.
    """
    best: list[int] = []
    for known in _ways(ids):
        found = [known(name) for name in names]
        if not best or sum(i >= 0 for i in found) > sum(i >= 0 for i in best):
            best = found
        if min(best) >= 0:
            break
        # The last way knows most names, and which of them are not unique.
        best = [now if old == _NONE and now == _SEVERAL else old for old, now in zip(best, found, strict=True)]
    return best


def _ways(ids: Sequence[str]) -> list[Callable[[str], int]]:
    """From a name to a position, strictest first: the id; digits as a number; the name of a picture as ``images``
    writes it, below any folder; the end of an id that is a path.
    """
    exact = _index([_tidy(name)] for name in ids)
    pictures = _index([_tidy(name)] for name in picture_names(ids))
    ends = _index(_ends(_tidy(name)) for name in ids)
    bare_ends = _index(_ends(_bare(_tidy(name))) for name in ids)
    folders = {part for name in ids for part in PurePosixPath(_tidy(name)).parts[:-1]}
    digits = {int(name): i for i, name in enumerate(ids) if name.isascii() and name.isdigit()}
    numbered = len(digits) == len(ids)

    def by_number(name: str) -> int:
        text = name.removesuffix(".0")
        return digits.get(int(text), _NONE) if numbered and text.isascii() and text.isdigit() and len(text) < 20 else -1

    def by_picture(name: str) -> int:
        bare = _bare(_tidy(name))
        return next((pictures[end] for end in _ends(bare) if end in pictures), by_number(PurePosixPath(bare).name))

    def by_end(name: str) -> int:
        parts = _tidy(name).split("/")
        # Where pictures were copied to says nothing; a folder of another split or class makes it another picture.
        while len(parts) > 1 and parts[0] not in folders and split_of(parts[0]) in ("", "test"):
            del parts[0]
        path = "/".join(parts)
        whole = ends.get(path, _NONE)
        return bare_ends.get(_bare(path), _NONE) if whole == _NONE else whole

    return [lambda name: exact.get(_tidy(name), _NONE), by_number, by_picture, by_end]


def _index(keys: Iterable[Iterable[str]]) -> dict[str, int]:
    """Positions by key, of which each has some; a key of several positions is ``_SEVERAL``."""
    found: dict[str, int] = {}
    for i, of_one in enumerate(keys):
        for key in of_one:
            found[key] = i if found.get(key, i) == i else _SEVERAL
    return found


def _tidy(name: str) -> str:
    r"""A name as it is compared: composed (NFC), without blanks around its parts, with ``/`` for ``\\``."""
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    return "/".join(part.strip() for part in parts)


def _bare(name: str) -> str:
    """Without the ending of a file."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.name else ""


def _ends(name: str) -> list[str]:
    """A path, and what is left of it without its first folders, longest first."""
    parts = name.split("/")
    return ["/".join(parts[i:]) for i in range(len(parts))]


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
        at[samples[name]] = _one_of(answers, where)
    return at


def _one_of(answers: Answers, rows: list[int]) -> int:
    """The row that stands for several with the same digest, whatever their order."""
    for row in rows[1:]:
        if not np.allclose(answers.outputs[row], answers.outputs[rows[0]], rtol=0, atol=_SAME, equal_nan=True):
            a, b = answers.table.where(rows[0]), answers.table.where(row)
            problem = f"{b}: the same picture is answered differently than in {a.rpartition(', ')[2]}."
            raise BadDataError(problem, "Name images that occur several times by their ids, or answer them alike.")
    return min(rows, key=lambda row: answers.outputs[row].tolist())


def _refuse_unfound(answers: Answers, found: list[int], ids: Sequence[str]) -> None:
    if _SEVERAL in found:
        row = found.index(_SEVERAL)
        problem = f"{answers.table.where(row)}: {shown(answers.names[row], 60)!r} may be several test samples."
        raise BadDataError(problem, f"Name images by their ids, such as {shown(ids[0], 40)!r}; {_TEMPLATE}")
    if _NONE in found:
        what = f"no test sample is called {{}} (they are called like {shown(ids[0], 40)!r})"
        _refuse_unknown(answers, found.index(_NONE), what, found.count(_NONE))


def _refuse_other(answers: Answers, found: list[int], column: str, names: list[str], ids: Sequence[str]) -> None:
    """Another column with names must not mean other samples; what it calls by unknown names says nothing."""
    other = find([name or "" for name in names], ids)
    for row, (a, b) in enumerate(zip(found, other, strict=True)):
        if b >= 0 and a != b:
            problem = (
                f"{answers.table.where(row)}: {shown(answers.names[row], 60)!r} and, in column {shown(column, 40)!r},"
                f" {shown(names[row], 60)!r} are two samples."
            )
            raise BadDataError(problem, "Leave one of these columns out.")


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
