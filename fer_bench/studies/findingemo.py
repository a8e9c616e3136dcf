"""The annotation study of FindingEmo, on any annotation file of its format: figures and one page.

Source: Mertens et al., FindingEmo (2024), sections 2.3.3 and 2.4, appendices A.5 and A.6.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from fer_bench.atomic import write_atomically
from fer_bench.datasets.findingemo.annotations import Annotation, read_annotations
from fer_bench.errors import BadDataError, HardwareError
from fer_bench.labels import EMO8
from fer_bench.studies.findingemo_comparison import compare, is_published
from fer_bench.studies.findingemo_figures import draw
from fer_bench.studies.findingemo_printed import TABLE_2, TABLE_4, Printed, PrintedRow
from fer_bench.studies.findingemo_statistics import (
    Agreement,
    EmotionRow,
    OverlapScore,
    Spread,
    agreement,
    by_image,
    emotion_table,
    overlap_scores,
)

PAGE = "README.md"

_CAPTIONS = {
    "emotions.png": "Annotations per leaf (the paper's figure 4)",
    "valence_arousal.png": "Valence against arousal (figure 5)",
    "scales.png": "Arousal, valence and ambiguity (figure 17)",
    "annotators.png": "Images by number of annotators (Table 3)",
    "labels.png": "Different labels of one image (figure 12)",
    "distances.png": "Largest distance of the labels of one image on Plutchik's wheel (figure 14)",
    "pairs.png": "Leaves that share an image (figure 15)",
    "ranges.png": "Largest difference of arousal and valence by number of annotations (figure 16)",
    "overlap_scores.png": "Annotators' overlap scores",
}
_RINGS = ("inner, most intense", "middle", "outer, least intense")


def study_findingemo(annotations: Path, out: Path) -> Path:
    """Write the study of an annotation file into a folder.

    Args:
        annotations: in FindingEmo's format; one or several annotations per image.
        out: folder, made where it is missing; files of an earlier study are replaced, the page last.

    Returns:
        The page, ``README.md``, which shows the PNG files next to it.

    Raises:
        MissingDataError: there is no such file.
        BadDataError: it is damaged, or keeps no image.
        HardwareError: the folder cannot be written.
    """
    rows = read_annotations(annotations)
    kept = [a for a in rows if not a.rejected]
    if not kept:
        problem = f"{annotations}: " + (f"no row keeps its image, of {len(rows)}." if len(rows) else "there is no row.")
        raise BadDataError(problem)
    leaves, emotions = emotion_table(kept, leaves=True), emotion_table(kept, leaves=False)
    found, scores = agreement(rows), overlap_scores(rows)
    figures = draw(kept, leaves, found, scores)
    page = "\n".join(_page(annotations.name, rows, kept, leaves, emotions, found, scores, list(figures)))
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, png in figures.items():
            write_atomically(out / name, png)
        for name in _CAPTIONS.keys() - figures.keys():
            (out / name).unlink(missing_ok=True)
        write_atomically(out / PAGE, page.encode())
    except OSError as error:
        problem = f"{out}: cannot write: {error.strerror or error}."
        raise HardwareError(problem, "Check free space and permissions.") from error
    return out / PAGE


def _page(
    name: str,
    rows: Sequence[Annotation],
    kept: Sequence[Annotation],
    leaves: Sequence[EmotionRow],
    emotions: Sequence[EmotionRow],
    found: Agreement,
    scores: Mapping[str, OverlapScore],
    figures: Sequence[str],
) -> Iterable[str]:
    images = by_image(rows)
    published = is_published(rows)
    rejected = len(rows) - len(kept)
    verdicts = (
        f"{len(kept):,} keep their image, {rejected:,} reject it. " if rejected else "No annotation rejects its image. "
    )
    several = sum(n for k, n in found.annotators.items() if k > 1)
    yield f"# Annotations of {name}\n"
    yield (
        f"{len(rows):,} annotations of {len(images):,} images by {len({a.user for a in rows}):,} annotators."
        f" {verdicts}{f'{several:,}' if several else 'None'} of the images {'has' if several == 1 else 'have'} several"
        " annotators. Emotions, valence, arousal and ambiguity are of annotations that keep the image. Figures and"
        " tables of the paper: Mertens et al., FindingEmo (2024). Values are mean ± standard deviation (over N - 1).\n"
    )
    if published:
        yield from compare(rows, leaves, emotions)
    yield "## Leaves of Plutchik's wheel (Table 2)\n"
    yield from _emotions(leaves, TABLE_2 if published else None)
    yield (
        "> The paper's Tables 2 and 4 print the same deviations for arousal as for valence; those here are computed for"
        " each.\n"
    )
    yield "## The 24 emotions (Table 4)\n"
    for ring in (2, 1, 0):
        yield f"### Ring: {_RINGS[ring]}\n"
        yield from _emotions(emotions[ring::3], TABLE_4 if published else None)
    yield from _agreement(found)
    yield from _scores(scores)
    yield "## Figures\n"
    for figure in (f for f in _CAPTIONS if f in figures):
        yield f"![{_CAPTIONS[figure]}]({figure})\n\n{_CAPTIONS[figure]}.\n"


def _table(header: Sequence[object], body: Iterable[Sequence[object]]) -> Iterable[str]:
    yield "| " + " | ".join(map(str, header)) + " |"
    yield "| --- " + "| ---: " * (len(header) - 1) + "|"
    for cells in body:
        yield "| " + " | ".join(map(str, cells)) + " |"
    yield ""


def _spread(s: Spread) -> str:
    return "–" if not s.n else f"{s.mean:.2f}" if math.isnan(s.std) else f"{s.mean:.2f} ± {s.std:.2f}"


def _emotions(rows: Sequence[EmotionRow], printed: Mapping[str, PrintedRow] | None) -> Iterable[str]:
    header = ["emotion", "annotations", "share", "arousal", "valence", "ambiguity"]
    body = [
        [r.name, f"{r.count:,}", f"{r.share:.1%}", _spread(r.arousal), _spread(r.valence), _spread(r.ambiguity)]
        for r in rows
    ]
    if printed is not None:
        header += [f"paper: {column}" for column in ("annotations", "arousal", "valence", "ambiguity")]
        for cells, row in zip(body, rows, strict=True):
            claim = printed.get(row.name)
            cells += (
                [f"{claim.count:,}", *map(_claimed, (claim.arousal, claim.valence, claim.ambiguity))]
                if claim
                else ["–"] * 4
            )
    return _table(header, body)


def _claimed(printed: Printed) -> str:
    return f"{printed[0]:.2f} ± {printed[1]:.2f}"


def _agreement(found: Agreement) -> Iterable[str]:
    yield "## Agreement of annotators (appendix A.5)\n"
    several = sum(found.verdicts.values())
    if not several:
        yield "No image has more than one annotator: there is no agreement to measure.\n"
        return
    yield from _table(["annotators", *found.annotators], [["images", *found.annotators.values()]])
    yield (
        f"Of {several} images with several annotators, most annotators keep {found.verdicts['keep']}, reject"
        f" {found.verdicts['reject']}; {found.verdicts['undecided']} are undecided. What follows is of the kept ones.\n"
    )
    for title, counts in (
        ("different Emo8 labels", found.labels8),
        ("different Emo24 labels", found.labels24),
        ("largest distance of leaves", found.distance8),
        ("largest distance of emotions", {f"{d / 3:.2f}": n for d, n in found.distance24.items()}),
    ):
        if counts:
            total = sum(counts.values())
            yield from _table(
                [title, *counts],
                [["images", *counts.values()], ["share", *(f"{n / total:.1%}" for n in counts.values())]],
            )
    if found.pairs:
        pairs = sorted(found.pairs.items(), key=lambda item: (-item[1], item[0]))
        yield from _table(
            ["two leaves of one image", "images"], ([f"{EMO8.names[a]}, {EMO8.names[b]}", n] for (a, b), n in pairs)
        )
    yield f"Largest difference of two annotators: arousal {_spread(found.arousal)}, valence {_spread(found.valence)}.\n"
    for name, by_n in (("arousal", found.arousal_by_n), ("valence", found.valence_by_n)):
        if by_n:
            yield from _table(
                [f"annotations that give {name}", *by_n],
                [["largest difference", *map(_spread, by_n.values())], ["images", *(s.n for s in by_n.values())]],
            )


def _scores(scores: Mapping[str, OverlapScore]) -> Iterable[str]:
    if not scores:
        return
    yield "## Overlap scores of annotators (section 2.3.3)\n"
    yield (
        "The paper compares annotators with set answers to five fixed images, which are not published. Here the other"
        " annotators of an image, at least two, are the reference: keep or reject, valence and arousal within their"
        " range, and the leaf most of them chose each give a point.\n"
    )
    values = np.array([s.score for s in scores.values()])
    alternatives = [s.alternative for s in scores.values() if not math.isnan(s.alternative)]
    yield (
        f"{len(values)} annotators score {_spread(Spread.of(values.tolist()))} ({(values >= 0.8).mean():.1%} at least"
        f" 0.8); without the images that only they rejected {_spread(Spread.of(alternatives))}.\n"
    )
