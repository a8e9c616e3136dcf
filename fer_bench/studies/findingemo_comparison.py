"""What the published annotations say, against what the paper prints about them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from fer_bench.datasets.findingemo.annotations import Annotation
from fer_bench.studies.findingemo_printed import ANNOTATORS, IMAGES, TABLE_2, TABLE_4, Printed, PrintedRow
from fer_bench.studies.findingemo_statistics import EmotionRow, Spread

_SCALES = ("arousal", "valence", "ambiguity")


def is_published(annotations: Sequence[Annotation]) -> bool:
    """Whether these are as many annotations, of as many images, as the authors published and the paper describes."""
    return len(annotations) == len({a.image for a in annotations}) == IMAGES and not any(
        a.rejected for a in annotations
    )


def compare(
    annotations: Sequence[Annotation], leaves: Sequence[EmotionRow], emotions: Sequence[EmotionRow]
) -> Iterable[str]:
    """Lines of the page's section on what agrees with the paper and what differs.

    Args:
        annotations: the published ones.
        leaves: of Table 2.
        emotions: of Table 4.
    """
    tables = ((2, leaves, TABLE_2), (4, emotions, TABLE_4))
    pairs = [
        (f"Table {number}, {row.name}", row, printed[row.name])
        for number, rows, printed in tables
        for row in rows
        if row.name in printed
    ]
    yield (
        "The annotations are those that their authors publish (package `findingemo-light`, CC BY-NC-SA 4.0); only"
        " aggregates are shown here.\n"
    )
    yield "## What agrees with the paper, and what differs\n"
    users = len({a.user for a in annotations})
    yield f"- Images: {len(annotations):,}; the paper says {IMAGES:,}."
    yield f"- Annotators: {users} user ids; the paper says {ANNOTATORS} (sections 2.1 and A.4)."
    counts = [f"{where} ({row.count:,} for {claim.count:,})" for where, row, claim in pairs if row.count != claim.count]
    yield f"- Annotations per emotion (Tables 2 and 4): {_agreeing(len(pairs), counts)}"
    means = [
        f"{where}, {scale}"
        for where, row, claim in pairs
        for scale in _SCALES
        if not _same(_of(row, scale).mean, _printed(claim, scale)[0])
    ]
    yield f"- Means of arousal, valence and ambiguity: {_agreeing(3 * len(pairs), means)}"
    for scale in ("valence", "ambiguity"):
        differ = [
            where for where, row, claim in pairs if not _same(_population(_of(row, scale)), _printed(claim, scale)[1])
        ]
        yield (
            f"- Standard deviations of {scale}, for this comparison over N as the paper's are:"
            f" {_agreeing(len(pairs), differ)}"
        )
    of_arousal = sum(_same(_population(row.arousal), claim.arousal[1]) for _, row, claim in pairs)
    of_valence = sum(_same(_population(row.valence), claim.arousal[1]) for _, row, claim in pairs)
    own = [row.arousal.std for row in leaves if row.arousal.n > 1]
    yield (
        f"- Standard deviations of arousal: {of_arousal} of the {len(pairs)} printed are arousal's; {of_valence} are"
        f" valence's, printed a second time. Those of the leaves are {_range(own)} where the paper has"
        f" {_range([row.arousal[1] for row in TABLE_2.values()])}."
    )
    missing = [row.name for row in emotions if row.name not in TABLE_4]
    if missing:
        yield (
            f"- Not compared: {', '.join(missing)}, whose column of Table 4 could not be read in the text that the"
            " printed numbers were taken from."
        )
    yield (
        "- Table 3 and figures 12 to 16 are about 1,525 images with several annotators, which the authors keep private."
    )
    short = Counter(tuple(a.image.split("/")[-2:]) for a in annotations)
    twins = sum(n > 1 for n in short.values())
    yield f"- {twins} pairs of images share their folder's and their own name and differ only in `Run_1` and `Run_2`.\n"


def _agreeing(total: int, differ: Sequence[str]) -> str:
    return f"all {total} agree." if not differ else f"{total - len(differ)} of {total} agree; not {'; '.join(differ)}."


def _of(row: EmotionRow, scale: str) -> Spread:
    spread: Spread = getattr(row, scale)
    return spread


def _printed(row: PrintedRow, scale: str) -> Printed:
    printed: Printed = getattr(row, scale)
    return printed


def _population(spread: Spread) -> float:
    return spread.std * math.sqrt((spread.n - 1) / spread.n) if spread.n > 1 else math.nan


def _same(value: float, printed: float) -> bool:
    """Whether a value is printed so with two decimals; a value halfway between two may be rounded either way."""
    return abs(value - printed) <= 0.005 + 1e-9


def _range(deviations: Sequence[float]) -> str:
    return f"{min(deviations):.2f} to {max(deviations):.2f}" if deviations else "unknown"
