"""Which images a rater sees, and in which order: practice, then main and catch images shuffled, with some images
repeated.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from fer_bench.annotate.images import StudyImage
from fer_bench.annotate.study import Study

Kind = Literal["practice", "main", "catch"]


@dataclass(frozen=True)
class Presentation:
    """One showing of one image to one rater.

    Args:
        image: what is shown.
        kind: practice and catch images are distinguished in the export, not on the page.
        presentation: 1, or 2 for the repetition of an image.
    """

    image: StudyImage
    kind: Kind
    presentation: int


def rater_images(study: Study, rater_index: int) -> list[StudyImage]:
    """The main images of one rater.

    With ``images.per_rater`` the raters take turns around one shuffled circle, so that after any number of raters the
    numbers of votes of two images differ by one at most.

    Args:
        study: the study.
        rater_index: running number of the rater, from 0.
    """
    share = study.file.images.per_rater
    if share is None:
        return list(study.main)
    circle = list(study.main)
    random.Random(f"{study.file.seed}:circle").shuffle(circle)
    start = rater_index * share
    return [circle[(start + step) % len(circle)] for step in range(share)]


def session_order(study: Study, rater: str, rater_index: int) -> list[Presentation]:
    """The session of one rater, reproducible from the study's seed and the rater's name.

    Args:
        study: the study.
        rater: the rater's name.
        rater_index: running number of the rater, from 0.

    Returns:
        Practice items in their fixed order, then everything else at random; a repetition comes at least
        ``repeat_gap + 1`` places after its first showing.
    """
    rng = random.Random(f"{study.file.seed}:{rater}")
    order = [Presentation(image, "main", 1) for image in rater_images(study, rater_index)]
    order += [Presentation(image, "catch", 1) for image, _ in study.catch]
    rng.shuffle(order)
    gap = study.file.repeat_gap
    early_enough = [shown for shown in order[: max(0, len(order) - gap)] if shown.kind == "main"]
    for first in rng.sample(early_enough, study.file.repeats):
        # inserting only ever widens the gaps of earlier repetitions
        earliest = order.index(first) + gap + 1
        order.insert(rng.randint(earliest, len(order)), Presentation(first.image, "main", 2))
    return [Presentation(image, "practice", 1) for image in study.practice] + order
