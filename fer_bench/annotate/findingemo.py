"""Answers in the format of FindingEmo's annotation files: one row per annotator and image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fer_bench.annotate.export import write_file
from fer_bench.annotate.forms import NO_EMOTION
from fer_bench.errors import SpecError
from fer_bench.escaping import csv_text

# As in the published file; "reject" is as in the authors' older one, since the published one holds kept images only.
COLUMNS = (
    "index",
    "user",
    "image_path",
    "reject",
    "tags",
    "age",
    "valence",
    "arousal",
    "emotion",
    "dec_factors",
    "ambiguity",
    "datetime",
)
NOTHING = "Undefined"
_NAMES = {
    "bad quality photo": "BadQualityPhoto",
    "copyright": "Copyright",
    "watermark": "Watermark",
    "no interaction": "NoInteraction",
    "no people": "NoPeople",
    "text": "Text",
    "not applicable": "NA",
    "children": "Children",
    "youth": "Youth",
    "young adults": "Young Adults",
    "adults": "Adults",
    "seniors": "Seniors",
    "body language": "BodyLanguage",
    "conflict context vs. person": "ConflictCtxtPerson",
    "context": "Context",
    "facial expression": "FacialExpression",
    "neutral": "Neutral",
    "staging": "Staging",
}


def write_findingemo(answers: pd.DataFrame, path: Path) -> int:
    """Write answers as an annotation file, such as ``annotations_single.ann``.

    Practice, catch images, repetitions and skipped images are left out; rejected images are in.

    Args:
        answers: as :func:`fer_bench.annotate.export.read_answers` gives them.
        path: the file; replaced in one step.

    Returns:
        The number of rows.

    Raises:
        SpecError: the study does not ask what the format needs, or on other scales.
        FerBenchError: the file cannot be written.
    """
    chosen: list[dict[Any, Any]] = answers[
        (answers["status"] == "answered") & (answers["kind"] == "main") & (answers["presentation"] == 1)
    ].to_dict("records")
    _check(answers)
    rows = (_row(index, row) for index, row in enumerate(chosen))
    write_file(path, csv_text(COLUMNS, *rows).encode())
    return len(chosen)


def _check(answers: pd.DataFrame) -> None:
    kept = answers[(answers["status"] == "answered") & (answers["decision"].fillna("keep") != "reject")]
    other = sorted(set(kept["scale"].dropna()) - {"findingemo"})
    asked = [name for name in ("valence", "arousal", "wheel") if kept[name].notna().any()]
    if other and {"valence", "arousal"} & set(asked):
        problem = f"valence and arousal were asked on the scale {other[0]}, but FindingEmo's are -3 to 3 and 0 to 6."
        raise SpecError(problem, "Use form: findingemo (or scale: findingemo) in the study file, or --format long.")
    if len(kept) and len(asked) < 3:
        lacking = next(name for name in ("wheel", "valence", "arousal") if name not in asked)
        problem = f"the study does not ask for {lacking}, which FindingEmo's format needs."
        raise SpecError(problem, "Use form: findingemo in the study file, or --format long.")


def _row(index: int, row: Mapping[Any, Any]) -> Iterable[object]:
    emotion = row["wheel"]
    known = isinstance(emotion, str) and emotion != NO_EMOTION
    day, _, clock = str(row["saved_at"]).partition("T")
    return (
        index,
        row["rater"],
        f"/{row['image']}",
        "Reject" if row["decision"] == "reject" else "Keep",
        _several(";".join(text for text in (row["reject_reasons"], row["tags"]) if text)),
        _several(row["age_groups"]),
        _number(row["valence"]),
        _number(row["arousal"]),
        emotion.capitalize() if known else NOTHING,
        _several(row["deciding_factors"]),
        _number(row["ambiguity"]),
        f"{day} {clock.partition('+')[0]}",
    )


def _several(texts: str) -> str:
    """Names of the published file, joined by commas; others without those."""
    names = (_NAMES.get(text.casefold(), text.replace(",", "")) for text in texts.split(";") if text)
    return ",".join(names) or NOTHING


def _number(value: Any) -> object:
    return NOTHING if pd.isna(value) else int(value)
