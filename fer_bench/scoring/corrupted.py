"""From answers on corrupted images to their scores, means, drops and intervals; also what recomputes a stored file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.scoring.additive import Additive, Ranked, known, of_predictions
from fer_bench.scoring.resampling import Units, percentiles
from fer_bench.scoring.undefined import Float


def score_corrupted(protocol: Protocol, clean: Predictions, answers: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Score answers on corrupted images.

    Args:
        protocol: by whose score.
        clean: the stored predictions of the same samples, uncorrupted.
        answers: by corruption, (S, N) class ids with -1 for no answer, or (S, N, D) values, or probabilities of several
            labels, with NaN for no answer; at least one corruption.

    Returns:
        ``metric``, ``n``, ``clean``, ``scores`` by corruption and strength, ``mean`` over all of these, ``drop`` =
        (clean - mean) / clean, and ``intervals`` (95 %, bootstrap over samples, or whole groups where there are any) of
        ``mean``, ``drop`` and each corruption's mean over strengths. Ready for JSON.
    """
    score, own = of_predictions(protocol, clean)
    points = {name: [score.of(answer) for answer in each] for name, each in answers.items()}
    value = score.of(own)
    everything = [one for each in points.values() for one in each]
    mean = None if None in everything else float(np.mean([one for one in everything if one is not None]))
    return {
        "metric": score.name,
        "n": len(clean),
        "clean": value,
        "scores": points,
        "mean": mean,
        "drop": None if mean is None or value is None else known(_drop(np.asarray(value), np.asarray(mean))),
        "intervals": _intervals(score, own, clean, answers),
    }


def mean_of(scores: list[float | None]) -> float | None:
    """Mean over strengths; None where one is undefined."""
    defined = [score for score in scores if score is not None]
    return float(np.mean(defined)) if defined and len(defined) == len(scores) else None


def relative_drop(clean: float | None, score: float | None) -> float | None:
    """(clean - score) / clean; None where either is undefined, or clean is not above zero."""
    return None if clean is None or score is None else known(_drop(np.asarray(clean), np.asarray(score)))


def _intervals(
    score: Additive | Ranked, own: npt.NDArray[Any], clean: Predictions, answers: Mapping[str, npt.NDArray[Any]]
) -> dict[str, Any]:
    names = [*answers, "mean", "drop"]
    units = Units.of(len(clean), clean.groups)
    if clean.groups is not None and units.n < 2:
        return dict.fromkeys(names)
    drawn: dict[str, list[Float]] = {name: [] for name in names}
    for block in units.blocks():
        value = score.drawn(own, units, block)
        means = {
            name: np.mean([score.drawn(answer, units, block) for answer in each], axis=0)
            for name, each in answers.items()
        }
        overall = np.mean(list(means.values()), axis=0)
        for name, replicates in {**means, "mean": overall, "drop": _drop(value, overall)}.items():
            drawn[name].append(replicates)
    found = {name: percentiles(np.concatenate(blocks)) for name, blocks in drawn.items()}
    return {name: None if pair is None else list(pair) for name, pair in found.items()}


def _drop(clean: Float, score: Float) -> Float:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(clean > 0, (clean - score) / clean, np.nan))
