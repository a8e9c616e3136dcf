"""FindingEmo's annotation files: one row per rating of an image by an annotator, and the classes made of a rating.

The authors publish ``annotations_single.ann`` as the package ``findingemo-light`` (CC BY-NC-SA 4.0), with the list of
the images' addresses. Torch-free. Source: Mertens et al., FindingEmo (2024), sections 2.1 (scales), 3 (three-class
tasks).
"""

from __future__ import annotations

import csv
import importlib.util
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import EMO24, EMO24_TO_EMO8
from fer_bench.protocols.findingemo import FINDINGEMO

ANNOTATIONS = "annotations_single.ann"
URLS = "dataset_urls_exploded.json"

# What is needed; the published file also has index, tags, age, dec_factors and datetime.
COLUMNS = ("user", "image_path", "valence", "arousal", "emotion", "ambiguity")
# Several names in a cell; an older, unpublished file calls the tags otherwise.
_AGE, _FACTORS, _TAGS = "age", "dec_factors", ("tags", "tag")
# What the annotators' form calls them (section 2.1 and appendix A.1), by the name in the file.
FACTORS = {
    "Neutral": "neutral",
    "BodyLanguage": "body language",
    "ConflictCtxtPerson": "conflict of context and person",
    "Context": "context",
    "FacialExpression": "facial expression",
    "Staging": "staging",
}
# By distance from the middle of Plutchik's wheel.
RINGS = ("inner, most intense", "middle", "outer, least intense")
# Only in the authors' older, unpublished file, which holds rejected images too.
_REJECT = "reject"
VALENCE = (-3, 3)
AROUSAL = (0, 6)
AMBIGUITY = (0, 6)
# Valence -3..3 and arousal 0..6 to class ids of the three-class tasks (section 3).
VALENCE3_OF = {-3: 0, -2: 0, -1: 1, 0: 1, 1: 1, 2: 2, 3: 2}
AROUSAL3_OF = {0: 0, 1: 0, 2: 1, 3: 1, 4: 1, 5: 2, 6: 2}

# Of arousal, which counts from 0: both together are on the scale of valence.
_AROUSAL_MIDDLE = 3

_SHOWN = 40  # characters of a value in an error
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
        image: the image's id, see :func:`image_id`.
        path: the image's path as the file gives it.
        rejected: the annotator found the image unsuitable.
        valence: -3 (negative) to 3.
        arousal: 0 to 6 ("intensity" in the annotators' interface).
        emo24: class id in ``EMO24``.
        ambiguity: 0 (clear) to 6.
        ages: age groups of the people in the image, as the file names them; empty where it does not say.
        factors: what decided for the emotion, as ``FACTORS`` names it.
        tags: remarks on the image, as the file names them.
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
    ages: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

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


def value_targets(valence: npt.ArrayLike, arousal: npt.ArrayLike) -> dict[str, npt.NDArray[np.generic]]:
    """The targets of the tasks of values: ``valence`` and ``arousal`` as they were annotated, each of shape (N, 1), and
    ``va``, shape (N, 2), with arousal about its middle; float32.

    Args:
        valence: shape (N,), -3 to 3.
        arousal: shape (N,), 0 to 6.
    """
    columns = [np.asarray(values, dtype=np.float32)[:, None] for values in (valence, arousal)]
    both = np.concatenate([columns[0], columns[1] - _AROUSAL_MIDDLE], axis=1)
    return {"valence": columns[0], "arousal": columns[1], "va": both}


def image_id(path: str) -> str:
    """The id of an image: its whole path in composed Unicode, with "/" between the components and none before them.

    What precedes a ``Run_*`` folder that holds the image's folder is left out: it is where one machine keeps its
    images. ``/Run_1/Happy adults festival/a.jpg`` is ``Run_1/Happy adults festival/a.jpg``; the folder and the name
    alone are not unique.
    """
    parts = [part for part in unicodedata.normalize("NFC", path).replace("\\", "/").split("/") if part]
    return "/".join(parts[-3:] if len(parts) > 2 and is_run(parts[-3]) else parts)


def is_run(folder: str) -> bool:
    """Whether a folder is one of the two in which FindingEmo's images are, ``Run_1`` and ``Run_2``."""
    return re.fullmatch(r"run_[0-9]+", folder, re.IGNORECASE) is not None


def published(name: str) -> Path | None:
    """A file of the authors' package ``findingemo-light``: ``annotations_single.ann`` or
    ``dataset_urls_exploded.json``.

    Returns:
        Its path, or None where the package is not installed. None of the package's code is run.
    """
    found = importlib.util.find_spec("findingemo_light")
    for folder in (found and found.submodule_search_locations) or ():
        if (path := Path(folder) / "data" / name).is_file():
            return path
    return None


def read_annotations(path: Path) -> list[Annotation]:
    """Read an annotation file such as ``annotations_single.ann``.

    Args:
        path: a CSV with the columns of ``COLUMNS`` in any order; of others ``age``, ``dec_factors``, ``tags`` and
            ``reject`` are read, where they are there.

    Returns:
        One entry per row, in the file's order, rejected images included.

    Raises:
        MissingDataError: there is no such file.
        BadDataError: it is not of this format, or a value is out of its range; names file and line.
    """
    if not path.is_file():
        problem = f"{path}: no such annotation file."
        raise MissingDataError(problem, FINDINGEMO.how_to_get)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(_rows(path, file))
    except (UnicodeDecodeError, csv.Error) as error:
        problem = f"{path} is not a CSV of annotations: {error}."
        raise BadDataError(problem, FINDINGEMO.how_to_get) from error
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror or error}."
        raise BadDataError(problem, "Check the disk and the permissions.") from error


def _rows(path: Path, file: TextIO) -> Iterator[Annotation]:
    # Spreadsheets of some countries write semicolons or tabs; no column's name holds any of the three.
    delimiter = max(",;\t", key=file.readline().count)
    file.seek(0)
    reader = csv.DictReader(file, delimiter=delimiter)
    names = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = names
    expected = f"Expected, in any order: {', '.join(COLUMNS)}."
    for name in COLUMNS:
        if (times := names.count(name)) != 1:
            if "study_version" in names:
                problem = f"{path} is a table of every answer of an annotation study, not in FindingEmo's format."
                hint = "Write that with `fer-bench annotate export --format findingemo`."
                raise BadDataError(problem, f"{hint} `fer-bench study reannotation` reads this one.")
            found = ", ".join(names)[:200] or "nothing"
            problem = f"{path}, line 1: column {name!r} is {'missing' if not times else 'there twice'}; found: {found}."
            raise BadDataError(problem, expected)
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        if None in row or None in row.values():
            problem = f"{where}: the header has {len(names)} columns, this row has a different number."
            raise BadDataError(problem)
        if any(row.values()):
            yield _annotation(row, reader.line_num, where)


def _annotation(row: dict[str, str], line: int, where: str) -> Annotation:
    image, user = row["image_path"].strip(), row["user"].strip()
    if not image_id(image) or not user:
        problem = f"{where}: {'user' if image_id(image) else 'image_path'} is blank."
        raise BadDataError(problem)
    verdict = row.get(_REJECT, "")
    rejected = _REJECTED.get(verdict.strip().lower())
    if rejected is None:
        problem = f"{where}: reject is {verdict[:_SHOWN]!r}, neither Keep nor Reject."
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
        ages=_names(row.get(_AGE, "")),
        factors=tuple(FACTORS.get(name, name) for name in _names(row.get(_FACTORS, ""))),
        tags=_names(next((row[name] for name in _TAGS if name in row), "")),
    )


def _names(text: str) -> tuple[str, ...]:
    """The names in a cell: ``Youth,Adults`` as published, ``['Youth', 'Adults']`` in the older file."""
    found = (name.strip(" '\"") for name in text.strip().strip("[]").split(","))
    return tuple(dict.fromkeys(name for name in found if name.lower() not in _NO_VALUE))


def _scale(text: str, limits: tuple[int, int], what: str) -> int | None:
    if text.strip().lower() in _NO_VALUE:
        return None
    low, high = limits
    try:
        value = float(text)  # "2.0" is how pandas writes the integers of a column with gaps
    except ValueError:
        value = float("nan")
    if not (low <= value <= high and value.is_integer()):
        problem = f"{what} is {text.strip()[:_SHOWN]!r}, not an integer from {low} to {high}."
        raise BadDataError(problem)
    return int(value)


def _emotion(text: str, where: str) -> int | None:
    if text.strip().lower() in _NO_VALUE:
        return None
    found = EMO24.find(text)
    if found is None:
        problem = f"{where}: emotion {text.strip()[:_SHOWN]!r} is not on Plutchik's wheel."
        raise BadDataError(problem, f"The 24 are: {', '.join(EMO24.names)}.")
    return found
