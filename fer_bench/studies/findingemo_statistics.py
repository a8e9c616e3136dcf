"""Statistics of an annotation file of FindingEmo's format: what its emotions look like, and how far annotators agree.

Source: Mertens et al., FindingEmo (2024), sections 2.3.3 and 2.4, appendices A.5 and A.6.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fer_bench.datasets.findingemo.annotations import Annotation
from fer_bench.labels import EMO8, EMO24, wheel_distance


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (ddof 1) of n values; NaN where there are too few."""

    n: int
    mean: float
    std: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of a sequence of any length."""
        n = len(values)
        return cls(
            n, float(np.mean(values)) if n else float("nan"), float(np.std(values, ddof=1)) if n > 1 else float("nan")
        )


@dataclass(frozen=True)
class EmotionRow:
    """One emotion's column of the paper's Tables 2 and 4.

    Args:
        name: of the leaf or of the emotion.
        count: annotations.
        share: of all annotations that have an emotion.
        arousal: 0 to 6.
        valence: -3 to 3.
        ambiguity: 0 to 6.
    """

    name: str
    count: int
    share: float
    arousal: Spread
    valence: Spread
    ambiguity: Spread


def emotion_table(annotations: Sequence[Annotation], leaves: bool) -> list[EmotionRow]:
    """Average arousal, valence and ambiguity per leaf (Table 2) or per emotion (Table 4).

    Args:
        annotations: those without an emotion are left out.
        leaves: by the 8 leaves, not by the 24 emotions.

    Returns:
        One row per class of ``EMO8`` or ``EMO24``, in its order, empty classes included.
    """
    groups: dict[int, list[Annotation]] = defaultdict(list)
    for a in annotations:
        label = a.emo8 if leaves else a.emo24
        if label is not None:
            groups[label].append(a)
    total = sum(map(len, groups.values()))

    def row(index: int, name: str) -> EmotionRow:
        members = groups[index]
        arousal, valence, ambiguity = (
            Spread.of([v for a in members if (v := getattr(a, dimension)) is not None])
            for dimension in ("arousal", "valence", "ambiguity")
        )
        return EmotionRow(name, len(members), len(members) / total if total else 0.0, arousal, valence, ambiguity)

    return [row(i, name) for i, name in enumerate((EMO8 if leaves else EMO24).names)]


def emotion_distance(a: int, b: int) -> float:
    """Distance of two of the 24 emotions on Plutchik's wheel (figure 13): leaves between them plus a third per ring.

    Args:
        a: class id in ``EMO24``.
        b: likewise.

    Returns:
        0 to 4 2/3; joy to boredom is 3 1/3.
    """
    return wheel_distance(a // 3, b // 3) + abs(a % 3 - b % 3) / 3


@dataclass(frozen=True)
class Agreement:
    """How annotators of the same images agree (appendix A.5).

    Args:
        annotators: images by number of annotators (Table 3), all images.
        verdicts: images of several annotators by verdict: ``keep``, ``reject``, ``undecided``.
        labels8: kept images of several annotators, by number of distinct leaves (figure 12).
        labels24: likewise, by number of distinct emotions.
        distance8: those with more than one leaf, by the largest wheel distance of two (figure 14): 1 to 4.
        distance24: those with more than one emotion, by the largest distance, in thirds.
        pairs: kept images of exactly two leaves, by the pair of class ids, the lower first (figure 15).
        arousal: largest difference of two annotators, over kept images of several annotators.
        valence: likewise.
        arousal_by_n: the same by number of annotations that give it (figure 16).
        valence_by_n: likewise.
    """

    annotators: dict[int, int]
    verdicts: dict[str, int]
    labels8: dict[int, int]
    labels24: dict[int, int]
    distance8: dict[int, int]
    distance24: dict[int, int]
    pairs: dict[tuple[int, int], int]
    arousal: Spread
    valence: Spread
    arousal_by_n: dict[int, Spread]
    valence_by_n: dict[int, Spread]


def by_image(annotations: Sequence[Annotation]) -> dict[str, list[Annotation]]:
    """Annotations grouped by image; of two by the same annotator the first."""
    images: dict[str, dict[str, Annotation]] = defaultdict(dict)
    for a in annotations:
        images[a.image].setdefault(a.user, a)
    return {image: list(of.values()) for image, of in images.items()}


def verdict(ratings: Sequence[Annotation]) -> str:
    """What most annotators of an image say: keep, reject, or undecided on a tie."""
    rejects = 2 * sum(a.rejected for a in ratings)
    return "undecided" if rejects == len(ratings) else "reject" if rejects > len(ratings) else "keep"


def agreement(annotations: Sequence[Annotation]) -> Agreement:
    """Agreement of annotators on the images that several of them rated; see :class:`Agreement`."""
    images = by_image(annotations)
    several = [ratings for ratings in images.values() if len(ratings) > 1]
    kept = [[a for a in ratings if not a.rejected] for ratings in several if verdict(ratings) == "keep"]
    leaves = [sorted({a.emo8 for a in ratings if a.emo8 is not None}) for ratings in kept]
    emotions = [sorted({a.emo24 for a in ratings if a.emo24 is not None}) for ratings in kept]
    arousal, valence = _ranges(kept, "arousal"), _ranges(kept, "valence")
    return Agreement(
        annotators=_count(len(ratings) for ratings in images.values()),
        verdicts={
            name: sum(verdict(ratings) == name for ratings in several) for name in ("keep", "reject", "undecided")
        },
        labels8=_count(len(found) for found in leaves if found),
        labels24=_count(len(found) for found in emotions if found),
        distance8=_count(
            max(wheel_distance(a, b) for a, b in combinations(found, 2)) for found in leaves if len(found) > 1
        ),
        distance24=_count(
            round(3 * max(emotion_distance(a, b) for a, b in combinations(found, 2)))
            for found in emotions
            if len(found) > 1
        ),
        pairs=dict(Counter((found[0], found[1]) for found in leaves if len(found) == 2)),
        arousal=Spread.of([r for _, r in arousal]),
        valence=Spread.of([r for _, r in valence]),
        arousal_by_n=_by_n(arousal),
        valence_by_n=_by_n(valence),
    )


def _count(values: Iterable[int]) -> dict[int, int]:
    return dict(sorted(Counter(values).items()))


def _ranges(images: Sequence[Sequence[Annotation]], dimension: str) -> list[tuple[int, int]]:
    """(number of values, largest difference) of every image with at least two values."""
    values = ([v for a in ratings if (v := getattr(a, dimension)) is not None] for ratings in images)
    return [(len(of_image), max(of_image) - min(of_image)) for of_image in values if len(of_image) > 1]


def _by_n(ranges: Sequence[tuple[int, int]]) -> dict[int, Spread]:
    return {n: Spread.of([r for m, r in ranges if m == n]) for n in sorted({n for n, _ in ranges})}


@dataclass(frozen=True)
class OverlapScore:
    """How far an annotator agrees with the others (section 2.3.3).

    Args:
        images: rated by the annotator and at least two others.
        score: fraction of data points that match, 0 to 1.
        alternative: the same without the images that the others keep and the annotator rejected; NaN if none is left.
    """

    images: int
    score: float
    alternative: float


def overlap_scores(annotations: Sequence[Annotation]) -> dict[str, OverlapScore]:
    """Overlap score of every annotator who shares an image with at least two others.

    The paper compares with set answers to five fixed images, which are not published. Here the other annotators of an
    image are the reference, as the paper's data points: keep or reject (their majority; undecided images are left out),
    valence and arousal (within their range), emotion (a leaf that most of them chose). A rejected image has the first
    only.

    Args:
        annotations: all of them, rejects included.

    Returns:
        Annotator to score, sorted by name.
    """
    points: dict[str, list[tuple[int, int, bool]]] = defaultdict(list)  # matched, possible, counts for the alternative
    for ratings in by_image(annotations).values():
        for a in ratings:
            others = [b for b in ratings if b is not a]
            reference = verdict(others) if len(others) > 1 else "undecided"
            if reference != "undecided":
                points[a.user].append(_points(a, [b for b in others if not b.rejected], reference))
    return {user: _score(found) for user, found in sorted(points.items())}


def _points(a: Annotation, keepers: Sequence[Annotation], reference: str) -> tuple[int, int, bool]:
    if reference == "reject":
        return int(a.rejected), 1, True
    matched, possible = int(not a.rejected), 1
    for dimension in ("valence", "arousal"):
        values = [v for b in keepers if (v := getattr(b, dimension)) is not None]
        if values:
            own = getattr(a, dimension)
            possible += 1
            matched += not a.rejected and own is not None and min(values) <= own <= max(values)
    leaves = Counter(b.emo8 for b in keepers if b.emo8 is not None)
    if leaves:
        possible += 1
        matched += not a.rejected and a.emo8 is not None and leaves[a.emo8] == max(leaves.values())
    return matched, possible, not a.rejected


def _score(points: Sequence[tuple[int, int, bool]]) -> OverlapScore:
    def fraction(chosen: Sequence[tuple[int, int, bool]]) -> float:
        possible = sum(p for _, p, _ in chosen)
        return sum(m for m, _, _ in chosen) / possible if possible else float("nan")

    return OverlapScore(len(points), fraction(points), fraction([p for p in points if p[2]]))
