"""How the votes differ from the original labels: kept labels, categories that grow and shrink, the human ceiling."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from fer_bench.scoring.undefined import divide
from fer_bench.studies.reannotation.resample import Estimate, Sums, resample_sums
from fer_bench.studies.reannotation.study import Float, Int, Reannotation

TieRule = Literal["split", "first", "random", "original", "drop"]
TIE_RULES: tuple[TieRule, ...] = get_args(TieRule)
TIE_TEXT: dict[TieRule, str] = {
    "split": "a tie is shared evenly by the tied categories",
    "first": "the tied category that comes first in the label set",
    "random": "a tied category at random (seeded)",
    "original": "the original label where it is among the tied, else shared",
    "drop": "images with a tie are left out",
}


def max_vote(counts: Int, rule: TieRule = "split", original: Int | None = None, seed: int = 0) -> Float:
    """The category with most votes, as a distribution per image.

    Args:
        counts: shape (N, K).
        rule: what happens to a tie.
        original: shape (N,), needed for the rule "original".
        seed: for the rule "random".

    Returns:
        Shape (N, K); rows sum to 1, or to 0 where nobody voted or the tie was dropped.

    Raises:
        ValueError: the rule "original" without original labels.
    """
    top = (counts == counts.max(axis=1, keepdims=True)) & (counts > 0)
    ties = top.sum(axis=1)
    shared: Float = divide(top, np.maximum(ties, 1)[:, None])
    if rule == "split":
        return shared
    if rule == "drop":
        return np.where(ties[:, None] == 1, shared, 0.0)
    if rule == "original":
        if original is None:
            message = "the tie rule 'original' needs the original labels"
            raise ValueError(message)
        rows = np.flatnonzero((original >= 0) & top[np.arange(len(top)), np.maximum(original, 0)])
        shared[rows] = np.eye(counts.shape[1])[original[rows]]
        return shared
    order = (
        np.random.default_rng(seed).random(counts.shape) if rule == "random" else np.arange(counts.shape[1], 0.0, -1)
    )
    chosen = np.where(top, order, -1.0).argmax(axis=1)
    return np.where(ties[:, None] > 0, np.eye(counts.shape[1])[chosen], 0.0)


def max_vote_labels(study: Reannotation, seed: int = 0) -> Int:
    """One category per image for colouring figures, ties at random, shape (N,), -1 where nobody voted."""
    votes = max_vote(study.counts, "random", seed=seed)
    return np.where(votes.sum(axis=1) > 0, votes.argmax(axis=1), -1)


def confusion(study: Reannotation, rule: TieRule = "split", seed: int = 0) -> Float:
    """Original label to max vote.

    Args:
        study: with counts of shape (N, K) and original labels of C classes.
        rule: of ties.
        seed: of random ties.

    Returns:
        Shape (C, K): number of images, fractions where a tie is shared.
    """
    known = study.original >= 0
    votes = max_vote(study.counts, rule, study.original, seed)
    one_hot = np.eye(len(study.label_set))[study.original[known]]
    return np.asarray(one_hot.T @ votes[known])


def vote_estimates(study: Reannotation, n_resamples: int = 1000, seed: int = 0) -> dict[str, Estimate]:
    """Everything about the votes that needs no rater identities, with bootstrap intervals over images.

    Args:
        study: with counts of shape (N, K).
        n_resamples: number of resamples.
        seed: of the resampling and of random ties.

    Returns:
        - ``alpha``: Krippendorff's alpha, nominal, over all K categories.
        - ``ceiling``: accuracy of one vote against the majority of the others; ``ceiling_per_category`` (K,) where that
          majority is k.
        - ``top_share``: mean share of votes that the most voted category gets.
        - ``vote_share`` (K,): share of all votes; ``max_share`` (K,): share of images by max vote, ties shared.
        - ``contradicted``: share of labelled images whose label got no vote.
        - with original labels: ``kept_votes``: share of votes that kept the label, ``kept_votes_per_category`` (C,);
          ``kept_max_<rule>``: share of images whose max vote is the label, ``kept_max_per_category`` (C,), ties shared;
          ``original_share`` (C,), ``shift`` (C,): share by max vote minus share by original label, over labelled
          images; ``pattern_correlation``: PCC over C classes of shares by original label and shares of votes.
    """
    n_classes = len(study.label_set)
    features = _features(study, seed)

    def statistic(sums: Sums) -> dict[str, Float]:
        votes, n_voted = sums["votes"], sums["votes"].sum(axis=-1)
        by_chance = (np.square(n_voted) - np.square(votes).sum(axis=-1)) / (n_voted - 1)
        out = {
            "alpha": 1 - divide(sums["disagreement"], by_chance),
            "ceiling": divide(sums["loo_hit"].sum(axis=-1), sums["loo_row"].sum(axis=-1)),
            "ceiling_per_category": divide(sums["loo_hit"], sums["loo_row"]),
            "top_share": divide(sums["top_share"], sums["voted"]),
            "vote_share": divide(sums["all_votes"], sums["all_votes"].sum(axis=-1, keepdims=True)),
            "max_share": divide(sums["max"], sums["max"].sum(axis=-1, keepdims=True)),
        }
        if not (study.original >= 0).any():
            return out
        cells = sums["label_votes"]
        diagonal = np.diagonal(cells, axis1=1, axis2=2)
        original = divide(sums["labelled"], sums["labelled"].sum(axis=-1, keepdims=True))
        of_labelled = cells.sum(axis=1)
        after = sums["label_max"].sum(axis=1)
        out |= {
            "kept_votes": divide(diagonal.sum(axis=-1), cells.sum(axis=(1, 2))),
            "kept_votes_per_category": divide(diagonal, cells.sum(axis=-1)),
            "kept_max_per_category": divide(
                np.diagonal(sums["label_max"], axis1=1, axis2=2), sums["label_max"].sum(axis=-1)
            ),
            "contradicted": divide(sums["contradicted"], sums["labelled"].sum(axis=-1)),
            "original_share": original,
            "shift": divide(after, after.sum(axis=-1, keepdims=True))[:, :n_classes] - original,
            "pattern_correlation": _correlation(original, of_labelled[:, :n_classes]),
        }
        return out | {f"kept_max_{rule}": divide(sums[f"hit_{rule}"], sums[f"weight_{rule}"]) for rule in TIE_RULES}

    return resample_sums(features, statistic, n_resamples, seed)


def _features(study: Reannotation, seed: int) -> dict[str, Float]:
    counts, original = study.counts.astype(np.float64), study.original
    per_image = counts.sum(axis=1)
    comparable = per_image > 1
    shared = max_vote(study.counts, "split")
    rows = np.flatnonzero(original >= 0)
    one_hot = np.zeros((len(counts), len(study.label_set)))
    one_hot[rows, original[rows]] = 1
    hit, row = _leave_one_out(counts)
    label_votes = counts[np.arange(len(counts)), np.maximum(original, 0)]
    features = {
        "all_votes": counts,
        "votes": np.where(comparable[:, None], counts, 0),
        # Pairs of unlike votes, weighted as in the coincidence matrix (Krippendorff 2011).
        "disagreement": np.where(
            comparable, (np.square(per_image) - np.square(counts).sum(axis=1)) / np.maximum(per_image - 1, 1), 0
        ),
        "loo_hit": hit,
        "loo_row": row,
        "top_share": divide(counts.max(axis=1), np.maximum(per_image, 1)),
        "voted": (per_image > 0).astype(np.float64),
        "max": shared,
        "labelled": one_hot * (per_image > 0)[:, None],
        "label_votes": one_hot[:, :, None] * counts[:, None, :],
        "label_max": one_hot[:, :, None] * shared[:, None, :],
        "contradicted": ((original >= 0) & (per_image > 0) & (label_votes == 0)).astype(np.float64),
    }
    for rule in TIE_RULES:
        votes = max_vote(study.counts, rule, original, seed)
        features[f"hit_{rule}"] = (votes[:, : one_hot.shape[1]] * one_hot).sum(axis=1)
        features[f"weight_{rule}"] = votes.sum(axis=1) * (original >= 0)
    return features


def _leave_one_out(counts: Float) -> tuple[Float, Float]:
    """Each image's part of the diagonal and of the row sums of ``scoring.agreement.leave_one_out_confusion``, both (N,
    K).
    """
    drawn = divide(counts, np.maximum(counts.sum(axis=1), 1)[:, None]) * (counts.sum(axis=1) > 1)[:, None]
    hit, row = np.zeros_like(counts), np.zeros_like(counts)
    for k in range(counts.shape[1]):
        remaining = counts.copy()
        remaining[:, k] -= counts[:, k] > 0
        top = remaining == remaining.max(axis=1, keepdims=True)
        majority = top / top.sum(axis=1, keepdims=True)
        row += drawn[:, [k]] * majority
        hit[:, k] = drawn[:, k] * majority[:, k]
    return hit, row


def _correlation(a: Float, b: Float) -> Float:
    """PCC along the last axis; NaN where one side is constant."""
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
    return divide((a * b).sum(axis=-1), np.sqrt(np.square(a).sum(axis=-1) * np.square(b).sum(axis=-1)))
