"""FindingEmo's annotation files: one row per rating of an image by an annotator, and the classes made of a rating.

Torch-free. Source: Mertens et al., FindingEmo (2024), sections 2.1 (scales), 3 (three-class tasks).
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import EMO24, EMO24_TO_EMO8

COLUMNS = ("user", "image_path", "reject", "tag", "age", "valence", "arousal", "emotion", "dec_factors", "ambiguity", "fmri_candidate", "datetime")
VALENCE = (-3, 3)
AROUSAL = (0, 6)
AMBIGUITY = (0, 6)
# Valence -3..3 and arousal 0..6 to class ids of the three-class tasks (section 3).
VALENCE3_OF = {-3: 0, -2: 0, -1: 1, 0: 1, 1: 1, 2: 2, 3: 2}
AROUSAL3_OF = {0: 0, 1: 0, 2: 1, 3: 1, 4: 1, 5: 2, 6: 2}

_NO_VALUE = ("", "nan", "none", "undefined")
_REJECTED = {"reject": True, "true": True, "yes": True, "1": True, "1.0": True} | dict.fromkeys(
    ("keep", "uncertain", "false", "no", "0", "0.0", *_NO_VALUE), False
)


@dataclass(frozen=True)
class Annotation:
    """One annotator's rating of one image; None where the annotator left a dimension out.

    Args:
        line: line of the file, from 1.
        user: annotator.
        image: the image's id: the last two components of its path, "/" between them.
        path: the image's path as the file gives it.
        rejected: the annotator found the image unsuitable.
        valence: -3 (negative) to 3.
        arousal: 0 to 6 ("intensity" in the annotators' interface).
        emo24: class id in ``EMO24``.
        ambiguity: 0 (clear) to 6.
    """

    line: int
    user: str
    image: str
    path: str
    rejected: bool
    valence: int | None
    arousal: int | None
    emo24: int | None
    ambiguity: int | None

    @property
    def emo8(self) -> int | None:
        """Class id in ``EMO8``: the leaf of the emotion."""
        return None if self.emo24 is None else EMO24_TO_EMO8[self.emo24]

    @property
    def ring(self) -> int | None:
        """Ring of the emotion on Plutchik's wheel: 0 the most intense, 2 the least."""
        return None if self.emo24 is None else self.emo24 % 3

    @property
    def valence3(self) -> int | None:
        """Class id in ``VALENCE3``."""
        return None if self.valence is None else VALENCE3_OF[self.valence]

    @property
    def arousal3(self) -> int | None:
        """Class id in ``AROUSAL3``."""
        return None if self.arousal is None else AROUSAL3_OF[self.arousal]


def image_id(path: str) -> str:
    """Last two components of an image's path, by which files and annotations are matched (composed Unicode, "/")."""
    parts = unicodedata.normalize("NFC", path).replace("\\", "/").strip("/").split("/")
    return "/".join(parts[-2:])


def read_annotations(path: Path) -> list[Annotation]:
    """Read an annotation file such as ``annotations_single.ann``.

    Args:
        path: a CSV of the columns in ``COLUMNS``, with or without an index column before them.

    Returns:
        One entry per row, in the file's order, rejected images included.

    Raises:
        MissingDataError: there is no such file.
        BadDataError: it is not of this format, or a value is out of its range; names file and line.
    """
    if not path.is_file():
        problem = f"{path}: no such annotation file."
        raise MissingDataError(problem, "FindingEmo's own is called annotations_single.ann and comes with its code repository.")
    try:
        return list(_rows(path))
    except (UnicodeDecodeError, csv.Error) as error:
        problem = f"{path} is not a CSV of annotations: {error}."
        raise BadDataError(problem) from error


def _rows(path: Path) -> Iterator[Annotation]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = names
        missing = [name for name in COLUMNS if name not in names]
        if missing:
            problem = f"{path}, line 1: column {missing[0]!r} is missing; found: {', '.join(names) or 'nothing'}."
            raise BadDataError(problem, f"Expected: {', '.join(COLUMNS)}.")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                problem = f"{where}: the header has {len(names)} columns, this row has another number."
                raise BadDataError(problem)
            yield _annotation(row, reader.line_num, where)


def _annotation(row: dict[str, str], line: int, where: str) -> Annotation:
    image, user = row["image_path"].strip(), row["user"].strip()
    if not image_id(image) or not user:
        problem = f"{where}: {'user' if image else 'image_path'} is blank."
        raise BadDataError(problem)
    rejected = _REJECTED.get(row["reject"].strip().lower())
    if rejected is None:
        problem = f"{where}: reject is {row['reject']!r}, neither Keep nor Reject."
        raise BadDataError(problem)
    return Annotation(
        line=line,
        user=user,
        image=image_id(image),
        path=image,
        rejected=rejected,
        valence=_scale(row["valence"], VALENCE, f"{where}: valence"),
        arousal=_scale(row["arousal"], AROUSAL, f"{where}: arousal"),
        emo24=_emotion(row["emotion"], where),
        ambiguity=_scale(row["ambiguity"], AMBIGUITY, f"{where}: ambiguity"),
    )


def _scale(text: str, limits: tuple[int, int], what: str) -> int | None:
    if text.strip().lower() in _NO_VALUE:
        return None
    low, high = limits
    try:
        value = float(text)  # "2.0" is how pandas writes the integers of a column with gaps
    except ValueError:
        value = float("nan")
    if not (low <= value <= high and value.is_integer()):
        problem = f"{what} is {text.strip()!r}, not an integer from {low} to {high}."
        raise BadDataError(problem)
    return int(value)


def _emotion(text: str, where: str) -> int | None:
    if text.strip().lower() in _NO_VALUE:
        return None
    found = EMO24.find(text)
    if found is None:
        problem = f"{where}: emotion {text.strip()!r} is not on Plutchik's wheel."
        raise BadDataError(problem, f"The 24 are: {', '.join(EMO24.names)}.")
    return found
