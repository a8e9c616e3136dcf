"""How raters agree with each other, with themselves, and in which direction each one leans."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_bench.scoring.agreement import (
    Reliability,
    icc21,
    icc31,
    krippendorff_alpha,
    leave_one_out,
    leave_one_out_numeric,
    mean_upper_triangle,
    nominal_rater_correlations,
)
from fer_bench.scoring.regression import pcc
from fer_bench.scoring.undefined import divide, mean_where_defined
from fer_bench.studies.reannotation.resample import Estimate, Sums, resample_rows, resample_sums
from fer_bench.studies.reannotation.study import AFFECT, Float, Int, Reannotation, Repeats


def with_nan(expression: Int) -> Float:
    """Categories (R, N) as answers (N, R) with NaN for missing ones, the form of ``scoring.agreement``."""
    return np.where(expression >= 0, expression, np.nan).T.astype(np.float64)


def expression_estimates(study: Reannotation, n_resamples: int = 1000, seed: int = 0) -> dict[str, Estimate]:
    """Agreement of identified raters on expression, with bootstrap intervals over images.

    Args:
        study: with ``expression`` of shape (R, N).
        n_resamples: number of resamples.
        seed: of the resampling.

    Returns:
        ``correlation``: mean of the upper triangle of the raters' correlations image by image; ``profile_correlation``:
            the same of how
        often each rater chose each category, whatever the image; ``ceiling``: accuracy of a rater against the majority
        of the others, mean over raters, and ``ceiling_per_rater`` (R,); ``bias`` (R, K): share of each category among a
        rater's votes minus the mean share among the other raters.
    """
    n_categories = len(study.categories)

    def statistic(answers: Float) -> dict[str, npt.ArrayLike]:
        loo = leave_one_out(answers, n_categories)
        shares = (
            np.stack([(answers == k).sum(axis=0) for k in range(n_categories)], axis=1)
            / np.maximum(1, (~np.isnan(answers)).sum(axis=0))[:, None]
        )
        return {
            "correlation": mean_upper_triangle(nominal_rater_correlations(answers, n_categories)),
            "profile_correlation": mean_upper_triangle(_rows_correlated(shares)),
            "ceiling": loo.mean,
            "ceiling_per_rater": loo.per_rater,
            "bias": _against_others(shares),
        }

    return resample_rows(statistic, (with_nan(study.expression),), n_resamples, seed)


def affect_estimates(ratings: Float, n_resamples: int = 1000, seed: int = 0) -> dict[str, Estimate]:
    """Agreement of raters on valence or on arousal, with bootstrap intervals over images.

    Args:
        ratings: shape (R, N), in [-1, 1], NaN where none.
        n_resamples: number of resamples.
        seed: of the resampling.

    Returns:
        ``correlation``: mean of the upper triangle of the rater-rater correlations; ``alpha``: Krippendorff's,
            interval; ``icc21``,
        ``icc31`` over images that everybody rated; ``ceiling``: CCC of a rater with the mean of the others, mean over
        raters, and ``ceiling_per_rater`` (R,); ``offset`` (R,): a rater's mean minus that of the other raters;
        ``spread`` (R,): a rater's standard deviation over the mean of all raters' standard deviations.
    """

    def statistic(answers: Float) -> dict[str, npt.ArrayLike]:
        loo = leave_one_out_numeric(answers, "ccc")
        spread = np.nanstd(answers, axis=0)
        return {
            "alpha": krippendorff_alpha(answers, "interval"),
            "icc21": icc21(answers).value,
            "icc31": icc31(answers).value,
            "ceiling": loo.mean,
            "ceiling_per_rater": loo.per_rater,
            "offset": _against_others(np.nanmean(answers, axis=0)[:, None])[:, 0],
            "spread": divide(spread, spread.mean()),
        }

    answered = np.asarray(~np.isnan(ratings).all(axis=1))
    estimates = resample_rows(statistic, (ratings[answered].T,), n_resamples, seed)
    estimates |= {"correlation": _mean_correlation(ratings[answered], n_resamples, seed)}
    return {name: _over_all_raters(e, answered) if e.value.ndim else e for name, e in estimates.items()}


def icc_intervals(ratings: Float) -> dict[str, Reliability]:
    """ICC(2,1) and ICC(3,1) with their F-based intervals, over the images that everybody rated.

    Args:
        ratings: shape (R, N), NaN where none.
    """
    answers = ratings[~np.isnan(ratings).all(axis=1)].T
    return {"ICC(2,1)": icc21(answers), "ICC(3,1)": icc31(answers)}


def repeat_estimates(repeats: Repeats, n_resamples: int = 1000, seed: int = 0) -> dict[str, Estimate]:
    """How raters agree with themselves when an image is shown again, with bootstrap intervals over the repeated pairs.

    Args:
        repeats: P pairs.
        n_resamples: number of resamples.
        seed: of the resampling.

    Returns:
        ``same``: share of pairs with the same expression; ``alpha``: Krippendorff's, nominal, of first against second;
            for valence and
        arousal ``<name>_correlation`` and ``<name>_difference`` (mean absolute). NaN where nothing was asked twice.
    """

    def statistic(expression: Int, *affect: Float) -> dict[str, npt.ArrayLike]:
        asked = (expression >= 0).all(axis=1)
        pairs = expression[asked].astype(np.float64)
        out: dict[str, npt.ArrayLike] = {
            "same": (pairs[:, 0] == pairs[:, 1]).mean() if asked.any() else np.nan,
            "alpha": krippendorff_alpha(pairs, "nominal") if asked.any() else np.nan,
        }
        for name, values in zip(AFFECT, affect, strict=True):
            rated = values[~np.isnan(values).any(axis=1)]
            out[f"{name}_correlation"] = pcc(rated[:, 0], rated[:, 1]) if len(rated) > 1 else np.nan
            out[f"{name}_difference"] = np.abs(rated[:, 0] - rated[:, 1]).mean() if len(rated) else np.nan
        return out

    return resample_rows(statistic, (repeats.expression, repeats.valence, repeats.arousal), n_resamples, seed)


def same_per_rater(study: Reannotation) -> Float:
    """Share of repeated images to which each rater gave the same expression again, shape (R,), NaN where none was
    repeated.
    """
    repeats = study.repeats
    if repeats is None:
        return np.full(len(study.raters), np.nan)
    asked = (repeats.expression >= 0).all(axis=1)
    same = asked & (repeats.expression[:, 0] == repeats.expression[:, 1])
    n = len(study.raters)
    return divide(np.bincount(repeats.rater[same], minlength=n), np.bincount(repeats.rater[asked], minlength=n))


def _mean_correlation(ratings: Float, n_resamples: int, seed: int) -> Estimate:
    """Mean of the upper triangle of ``scoring.agreement.rater_correlations``, from sums: a thousand resamples at
    once.
    """
    one, other = np.triu_indices(len(ratings), k=1)
    both = ~np.isnan(ratings[one]) & ~np.isnan(ratings[other])
    a, b = (np.where(both, ratings[side], 0.0) for side in (one, other))
    features = {"n": both, "a": a, "b": b, "aa": a * a, "bb": b * b, "ab": a * b}

    def statistic(sums: Sums) -> dict[str, Float]:
        n = sums["n"]
        covariance = n * sums["ab"] - sums["a"] * sums["b"]
        spread = (n * sums["aa"] - sums["a"] ** 2) * (n * sums["bb"] - sums["b"] ** 2)
        # Sums of ratings on nine points are exact to some 1e-12: less spread than that is none.
        pairs = divide(covariance, np.sqrt(np.where(spread > 1e-9, spread, 0.0)))
        return {"correlation": mean_where_defined(pairs)}

    return resample_sums({name: f.T.astype(np.float64) for name, f in features.items()}, statistic, n_resamples, seed)[
        "correlation"
    ]


def _rows_correlated(values: Float) -> Float:
    """PCC of each pair of rows, shape (R, R); NaN for a constant row."""
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.sqrt(np.square(centred).sum(axis=1))
    return divide(centred @ centred.T, np.outer(length, length))


def _against_others(values: Float) -> Float:
    """Each row minus the mean of the other rows, shape (R, M)."""
    n = len(values)
    return values - (values.sum(axis=0) - values) / (n - 1) if n > 1 else np.full_like(values, np.nan)


def _over_all_raters(estimate: Estimate, answered: npt.NDArray[np.bool_]) -> Estimate:
    out = []
    for part in estimate:
        whole = np.full(len(answered), np.nan)
        whole[answered] = part
        out.append(whole)
    return Estimate(*out)
