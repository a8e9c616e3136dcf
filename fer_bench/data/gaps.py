"""What a reader of a result must know of its splits: classes that one of them lacks, people who are in more than
one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.data.samples import SPLITS, Samples
from fer_bench.labels import plain
from fer_bench.protocols import find_task

_SHOWN = 3
_WHOLE = re.compile(r"([0-9]+)\.0+$")


def with_gaps(samples: Samples, task: str, splits: Sequence[str] = SPLITS) -> Samples:
    """Samples whose notes say what their splits lack, and whose facts count the people who are in several.

    Args:
        samples: as they are used; with the column ``identity`` where people are known.
        task: whose targets count.
        splits: that are used.
    """
    fold = samples.facts.get("fold")
    of = f"fold {fold['fold'] + 1} of {fold['folds']}: " if fold else ""
    notes = [
        *_missing_classes(samples, task, splits),
        *_missing_categories(samples, task, splits),
        *_constant_values(samples, task, splits),
    ]
    facts, crossing = _people(samples, splits)
    return replace(
        samples, notes=[*samples.notes, *(of + note for note in [*notes, *crossing])], facts={**samples.facts, **facts}
    )


def _missing_classes(samples: Samples, task: str, splits: Sequence[str]) -> Iterator[str]:
    known = find_task(task)
    targets = samples.targets[task]
    if known.labels is None or targets.ndim != 1:
        return
    for split in splits:
        counts = np.bincount(targets[samples.where(split)].astype(np.int64), minlength=len(known.labels.names))
        yield from _absent(split, known.labels.names, counts, "classes")


def _missing_categories(samples: Samples, task: str, splits: Sequence[str]) -> Iterator[str]:
    known = find_task(task)
    if known.kind == "labels":
        for split in splits:
            counts = samples.targets[task][samples.where(split)].astype(np.int64).sum(axis=0)
            yield from _absent(split, known.dimensions, counts, "categories")


def _absent(split: str, names: Sequence[str], counts: npt.NDArray[np.int64], what: str) -> Iterator[str]:
    consequence = {
        "train": "a network cannot learn it",
        "validation": f"its scores, by which the epoch is chosen, are of the other {what}",
        "test": f"its scores are of the other {what}",
    }
    absent = [name for name, count in zip(names, counts, strict=True) if count == 0]
    if absent:
        yield f"{split} has no sample of {', '.join(absent)}: {consequence[split]}"


def _constant_values(samples: Samples, task: str, splits: Sequence[str]) -> Iterator[str]:
    known = find_task(task)
    if known.kind != "values":
        return
    values = samples.targets[task].reshape(len(samples), -1).astype(np.float64)
    for split in splits:
        at = samples.where(split)
        for d, name in enumerate(known.dimensions):
            if len(at) and np.ptp(values[at, d]) == 0:
                yield (
                    f"{name} is the same for all {len(at)} samples of {split}: correlations with it are undefined or 0"
                )


def _people(samples: Samples, splits: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    if "identity" not in samples.columns or len(splits) < 2:
        return {}, []
    identity: npt.NDArray[np.str_] = samples.columns["identity"].astype(str)
    where = {split: set(identity[samples.where(split)].tolist()) for split in splits}
    everybody = set().union(*where.values())
    several = sorted(person for person in everybody if sum(person in people for people in where.values()) > 1)
    seen = where["train"] | where.get("validation", set())
    test = samples.where("test")
    n_known = int(np.isin(identity[test], sorted(seen)).sum()) if len(test) and seen else 0
    facts = {
        "people": {"n": len(everybody), "n_in_several_splits": len(several), "n_test_samples_of_seen_people": n_known}
    }
    spelt = _spelt_otherwise(where)
    if not several:
        return facts, spelt
    shown = ", ".join(several[:_SHOWN]) + (", ..." if len(several) > _SHOWN else "")
    more = (
        f"; {n_known} of {len(test)} test samples are of people who are in train or validation too" if n_known else ""
    )
    return facts, [f"{len(several)} of {len(everybody)} people are in more than one split ({shown}){more}", *spelt]


def _spelt_otherwise(where: Mapping[str, Set[str]]) -> list[str]:
    """People of two splits whose names differ by case and blanks alone, or by what pandas adds to a number (``7.0``):
    they are likely one person, whom a split by people was to keep together.
    """
    spellings: dict[str, dict[str, str]] = {}
    for split, people in where.items():
        for person in people:
            spellings.setdefault(_WHOLE.sub(r"\1", plain(person)), {}).setdefault(person, split)
    pairs = [sorted(names) for names in spellings.values() if len(names) > 1 and len(set(names.values())) > 1]
    if not pairs:
        return []
    listed = ", ".join(f"{a!r} and {b!r}" for a, b, *_ in sorted(pairs)[:_SHOWN]) + (", ..." * (len(pairs) > _SHOWN))
    return [f"names that differ little count as different people, and are in different splits: {listed}"]
