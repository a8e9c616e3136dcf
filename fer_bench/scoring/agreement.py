"""How well raters agree: reliability coefficients, correlations between raters, and what a human scores against the
others.

Answers have the shape (N, R): items in rows, raters in columns, NaN where a rater gave none; expression labels are
class ids. Counts have the shape (N, K): how many raters chose each of K values, whoever they were. Undefined results
are NaN.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fer_bench.errors import BadDataError
from fer_bench.scoring.regression import ccc, pcc, rmse
from fer_bench.scoring.undefined import Float, divide, mean_where_defined

Level = Literal["nominal", "ordinal", "interval"]
NAN = float("nan")


class Reliability(NamedTuple):
    """An intraclass correlation, its confidence interval, and the number of items that all raters answered."""

    value: float
    low: float
    high: float
    n_items: int


class LeaveOneOut(NamedTuple):
    """What each rater scores against the others: shape (R,), NaN for a rater without a score; and their mean over
    raters.
    """

    per_rater: Float
    mean: float


def vote_counts(answers: npt.ArrayLike, n_classes: int) -> npt.NDArray[np.int64]:
    """Counts (N, K) of the class ids in answers (N, R), NaN where a rater gave none.

    Raises:
        BadDataError: an answer is not one of the n_classes.
    """
    ratings = _answers(answers)
    present = ~np.isnan(ratings)
    items, ids = np.nonzero(present)[0], ratings[present]
    if ((ids < 0) | (ids >= n_classes) | (ids != np.floor(ids))).any():
        problem = f"answers hold values that are not among the {n_classes} class ids 0..{n_classes - 1}."
        raise BadDataError(problem)
    cells = np.bincount(items * n_classes + ids.astype(np.int64), minlength=len(ratings) * n_classes)
    return cells.reshape(len(ratings), n_classes).astype(np.int64)


def rater_correlations(answers: npt.ArrayLike) -> Float:
    """Pearson correlation of each pair of raters over the items that both answered.

    Args:
        answers: shape (N, R), numbers, e.g. valence.

    Returns:
        Shape (R, R), symmetric; NaN for a pair that shares fewer than two items or of which one is constant on them.
    """
    ratings = _answers(answers)
    shared = ~np.isnan(ratings)
    matrix = np.full((ratings.shape[1],) * 2, NAN)
    for a, b in zip(*np.triu_indices(ratings.shape[1]), strict=True):
        both = shared[:, a] & shared[:, b]
        matrix[a, b] = matrix[b, a] = pcc(ratings[both, a], ratings[both, b])
    return matrix


def nominal_rater_correlations(answers: npt.ArrayLike, n_classes: int) -> Float:
    """Pearson correlation of each pair of raters' votes on expression labels, over the items that both answered.

    Used is the correlation of the votes as indicators (one number, 0 or 1, per item and class). It equals (K p - 1) /
    (K - 1) for the share p of items on which the two agree (Bennett, Alpert and Goldstein's S): 0 at chance with K even
    classes, 1 when equal.

    Args:
        answers: shape (N, R), class ids.
        n_classes: K, at least 2.

    Returns:
        Shape (R, R), symmetric; NaN for a pair that shares no item.
    """
    ratings = _answers(answers)
    present = ~np.isnan(ratings)
    shared = present.T.astype(np.float64) @ present
    equal = sum((ratings == k).T.astype(np.float64) @ (ratings == k) for k in range(n_classes))
    return (n_classes * divide(equal, shared) - 1) / (n_classes - 1)


def mean_upper_triangle(matrix: npt.ArrayLike) -> float:
    """Mean of the defined entries above the diagonal of a rater-rater matrix (R, R)."""
    values = np.asarray(matrix, dtype=np.float64)
    return float(mean_where_defined(values[np.triu_indices(len(values), k=1)]))


def leave_one_out(answers: npt.ArrayLike, n_classes: int) -> LeaveOneOut:
    """Accuracy of each rater against the majority of the others: the human ceiling on expression labels.

    Args:
        answers: shape (N, R), class ids.
        n_classes: K.

    Returns:
        Accuracy in [0, 1] over the items that the rater and at least one other answered. A tie of m classes among the
        others gives 1/m to a rater who chose one of them.
    """
    ratings = _answers(answers)
    counts = vote_counts(ratings, n_classes)
    scores = np.full(ratings.shape[1], NAN)
    for r in range(ratings.shape[1]):
        judged = ~np.isnan(ratings[:, r]) & (counts.sum(axis=1) > 1)
        if judged.any():
            own = np.eye(n_classes, dtype=np.int64)[ratings[judged, r].astype(np.int64)]
            scores[r] = float((_majority(counts[judged] - own) * own).sum(axis=1).mean())
    return LeaveOneOut(scores, float(mean_where_defined(scores)))


def leave_one_out_numeric(answers: npt.ArrayLike, score: Literal["ccc", "pcc", "rmse"] = "ccc") -> LeaveOneOut:
    """Score of each rater against the mean of the others: the human ceiling on valence and arousal.

    Args:
        answers: shape (N, R), numbers.
        score: which function of :mod:`fer_bench.scoring.regression`.

    Returns:
        The score over the items that the rater and at least one other answered.
    """
    function = {"ccc": ccc, "pcc": pcc, "rmse": rmse}[score]
    ratings = _answers(answers)
    present = ~np.isnan(ratings)
    scores = np.full(ratings.shape[1], NAN)
    for r in range(ratings.shape[1]):
        others = np.delete(np.arange(ratings.shape[1]), r)
        judged = present[:, r] & present[:, others].any(axis=1)
        rest = ratings[np.ix_(judged, others)]
        scores[r] = function(mean_where_defined(rest), ratings[judged, r])
    return LeaveOneOut(scores, float(mean_where_defined(scores)))


def leave_one_out_confusion(counts: npt.ArrayLike) -> Float:
    """Expected confusion matrix of one random vote per item against the majority of that item's remaining votes.

    Args:
        counts: shape (N, K); items with fewer than two votes are left out.

    Returns:
        Shape (K, K), fractions of items, summing to their number: rows are the majority (a tie is shared evenly),
        columns the vote. :func:`~fer_bench.scoring.classification.scores_from_confusion` takes it as it is.
    """
    votes = _counts(counts)
    votes = votes[votes.sum(axis=1) > 1]
    confusion = np.zeros((votes.shape[1],) * 2)
    for k in range(votes.shape[1]):
        drawn = votes[votes[:, k] > 0]
        remaining = drawn.copy()
        remaining[:, k] -= 1
        confusion[:, k] = (drawn[:, k] / drawn.sum(axis=1)) @ _majority(remaining)
    return confusion


def krippendorff_alpha(answers: npt.ArrayLike, level: Level) -> float:
    """Krippendorff's alpha of answers with missing values (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability").

    Args:
        answers: shape (N, R); class ids for "nominal", ranks for "ordinal", numbers for "interval".
        level: which differences count: any alike; by how many answers are between; by their square.

    Returns:
        At most 1; 0 is chance, below 0 systematic disagreement. NaN where all comparable answers are equal, or none are
        comparable.
    """
    ratings = _answers(answers)
    present = ~np.isnan(ratings)
    if level == "interval":
        return _interval_alpha(ratings, present)
    values, ids = np.unique(ratings[present], return_inverse=True)
    coded = np.full(ratings.shape, NAN)
    coded[present] = ids
    return krippendorff_alpha_from_counts(vote_counts(coded, max(1, len(values))), level)


def krippendorff_alpha_from_counts(counts: npt.ArrayLike, level: Level, values: npt.ArrayLike | None = None) -> float:
    """As :func:`krippendorff_alpha`, from how often each value was given to each item.

    Args:
        counts: shape (N, K), the values in ascending order for "ordinal".
        level: as :func:`krippendorff_alpha`.
        values: shape (K,), what each column represents; needed for "interval" only.
    """
    votes = _counts(counts)
    votes = votes[votes.sum(axis=1) > 1]
    per_item, per_value = votes.sum(axis=1), votes.sum(axis=0)
    total = per_value.sum()
    distances = _distances(per_value, level, values)
    # The coincidence matrix, and what it would be by chance; the diagonals do not matter, as distances are 0 there.
    observed = (votes / (per_item - 1)[:, None]).T @ votes
    by_chance = np.outer(per_value, per_value) / max(1.0, total - 1)
    return float(1 - divide((observed * distances).sum(), (by_chance * distances).sum()))


def fleiss_kappa(counts: npt.ArrayLike) -> float:
    """Fleiss' kappa (Fleiss 1971): agreement on nominal labels beyond chance.

    Args:
        counts: shape (N, K), every row with the same sum, at least 2.

    Returns:
        At most 1; NaN where only one class was ever chosen.

    Raises:
        BadDataError: items have different numbers of votes.
    """
    votes = _counts(counts)
    raters = votes.sum(axis=1)
    if not len(votes) or raters[0] < 2 or (raters != raters[0]).any():
        problem = "Fleiss' kappa needs the same number of votes, at least two, for every item."
        raise BadDataError(problem, "Krippendorff's alpha takes unequal numbers.")
    agreed = float(((votes**2).sum(axis=1) - raters).mean() / (raters[0] * (raters[0] - 1)))
    by_chance = float(np.square(votes.sum(axis=0) / votes.sum()).sum())
    return float(divide(agreed - by_chance, 1 - by_chance)) if (votes.sum(axis=0) > 0).sum() > 1 else NAN


def icc31(ratings: npt.ArrayLike, confidence: float = 0.95) -> Reliability:
    """ICC(3,1), a single rating, raters fixed, consistency (Shrout and Fleiss 1979; McGraw and Wong 1996).

    Blind to one rater's constant offset. Equals ``regression.icc31`` for two raters.

    Args:
        ratings: shape (N, R); items that not all raters answered are left out.
        confidence: level of the F-based interval.

    Returns:
        Value and interval; NaN with fewer than two complete items or raters, or without any variance.
    """
    n, k, rows, _, error = _mean_squares(ratings)
    value = float(divide(rows - error, rows + (k - 1) * error))
    if not error > 0:
        return Reliability(value, value, value, n)
    below, above = (
        rows / error / _f(confidence, n - 1, (n - 1) * (k - 1)),
        rows / error * _f(confidence, (n - 1) * (k - 1), n - 1),
    )
    return Reliability(value, (below - 1) / (below + k - 1), (above - 1) / (above + k - 1), n)


def icc21(ratings: npt.ArrayLike, confidence: float = 0.95) -> Reliability:
    """ICC(2,1), a single rating, raters random, absolute agreement (Shrout and Fleiss 1979; McGraw and Wong 1996).

    Args:
        ratings: shape (N, R); items that not all raters answered are left out.
        confidence: level of the F-based interval.

    Returns:
        Value and interval; NaN with fewer than two complete items or raters, or without any variance; the interval
        alone is NaN where raters differ by nothing but offsets.
    """
    n, k, rows, columns, error = _mean_squares(ratings)
    value = float(divide(rows - error, rows + (k - 1) * error + k * (columns - error) / max(n, 1)))
    if not error > 0:
        return Reliability(value, *((value, value) if columns == 0 else (NAN, NAN)), n)
    # Satterthwaite's degrees of freedom of the mix of the raters' and the error's mean squares.
    a, b = k * value / (n * (1 - value)), 1 + k * value * (n - 1) / (n * (1 - value))
    freedom = (a * columns + b * error) ** 2 / ((a * columns) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1)))
    below, above = _f(confidence, n - 1, freedom), _f(confidence, freedom, n - 1)
    mixed = k * columns + (k * n - k - n) * error
    return Reliability(
        value,
        n * (rows - below * error) / (below * mixed + n * rows),
        n * (above * rows - error) / (mixed + n * above * rows),
        n,
    )


def _majority(votes: Float | npt.NDArray[np.int64]) -> Float:
    """Each row's top class as a distribution (N, K), a tie shared evenly."""
    top = votes == votes.max(axis=1, keepdims=True)
    return np.asarray(top / top.sum(axis=1, keepdims=True), dtype=np.float64)


def _interval_alpha(ratings: Float, present: npt.NDArray[np.bool_]) -> float:
    # Squared differences of all pairs follow from the variance, so real-valued answers need no table of their values.
    comparable = present.sum(axis=1) > 1
    ratings, present = ratings[comparable], present[comparable]
    if not present.any() or ratings[present].min() == ratings[present].max():
        return NAN
    per_item = present.sum(axis=1)
    deviations = np.where(present, ratings - mean_where_defined(ratings)[:, None], 0.0)
    within = (per_item * np.square(deviations).sum(axis=1) / (per_item - 1)).sum() / present.sum()
    return float(1 - within / ratings[present].var(ddof=1))


def _distances(per_value: Float, level: Level, values: npt.ArrayLike | None) -> Float:
    if level == "nominal":
        return 1 - np.eye(len(per_value))
    if level == "ordinal":
        # Answers up to the middle of a value's own: the difference of two such places counts what is between.
        places = np.cumsum(per_value) - per_value / 2
    elif values is None or len(np.asarray(values)) != len(per_value):
        problem = "interval alpha from counts needs the number that each column represents."
        raise BadDataError(problem)
    else:
        places = np.asarray(values, dtype=np.float64)
    return np.square(places[:, None] - places[None, :])


def _mean_squares(ratings: npt.ArrayLike) -> tuple[int, int, float, float, float]:
    """Complete items n, raters k, and the two-way ANOVA's mean squares of items, raters and error."""
    table = _answers(ratings)
    table = table[~np.isnan(table).any(axis=1)]
    n, k = table.shape
    if n < 2 or k < 2:
        return n, k, NAN, NAN, NAN
    centred = table - table.mean()
    items, raters = centred.mean(axis=1), centred.mean(axis=0)
    error = centred - items[:, None] - raters[None, :]
    squares = np.array(
        [
            k * np.square(items).sum() / (n - 1),
            n * np.square(raters).sum() / (k - 1),
            np.square(error).sum() / ((n - 1) * (k - 1)),
        ]
    )
    # What is this far below the numbers themselves is rounding: raters that are equal have no error at all.
    squares[squares <= 1e-26 * np.square(table).max()] = 0.0
    return n, k, float(squares[0]), float(squares[1]), float(squares[2])


def _f(confidence: float, above: float, below: float) -> float:
    from scipy.stats import f

    return float(f.ppf((1 + confidence) / 2, above, below))


def _answers(answers: npt.ArrayLike) -> Float:
    ratings = np.asarray(answers, dtype=np.float64)
    if ratings.ndim != 2 or np.isinf(ratings).any():
        problem = (
            "answers must be finite and of shape (items, raters), with NaN for missing ones; got shape"
            f" {ratings.shape}."
        )
        raise BadDataError(problem)
    return ratings


def _counts(counts: npt.ArrayLike) -> Float:
    votes = np.asarray(counts, dtype=np.float64)
    if votes.ndim != 2 or not (votes >= 0).all() or (votes != np.floor(votes)).any():
        problem = f"vote counts must be integers, none negative, of shape (items, classes); got shape {votes.shape}."
        raise BadDataError(problem)
    return votes
