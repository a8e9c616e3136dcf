"""A re-annotation study as arrays: images, raters, votes, ratings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_bench.labels import LabelSet

Int = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]

AFFECT = ("valence", "arousal")


class NetworkOutputs(NamedTuple):
    """What a network says about images, whether from a predictions file or from elsewhere.

    Args:
        ids: M ids, in any order; those of the study must be among them.
        values: shape (M, C), probabilities of classes, or (M, 1 or 2) valence and arousal in [-1, 1].
        names: C class names, or "valence" and "arousal".
    """

    ids: npt.NDArray[np.str_]
    values: npt.NDArray[np.floating]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Repeats:
    """Pairs of answers of one rater to one image, first and repeated.

    Args:
        rater: shape (P,), rater number.
        expression: shape (P, 2), categories, -1 where none.
        valence: shape (P, 2), in [-1, 1], NaN where none.
        arousal: shape (P, 2), as valence.
    """

    rater: Int
    expression: Int
    valence: Float
    arousal: Float


@dataclass(frozen=True)
class Reannotation:
    """A re-annotation study.

    Args:
        title: heading of the page.
        ids: N image ids.
        label_set: the classes of labels and networks.
        categories: K names that raters chose from: the classes first, then "unknown" and the like.
        original: shape (N,), original class of each image, -1 where none.
        counts: shape (N, K), votes.
        raters: R names; empty where the votes do not say who gave them.
        expression: shape (R, N), category of each answer, -1 where none.
        valence: shape (R, N) in [-1, 1], NaN where none; R is 0 where nobody was asked.
        arousal: shape (R, N), as valence.
        wheel: shape (R, N), class ids in ``EMO24`` of answers on Plutchik's wheel, -1 where none; R is 0 where nobody
            was asked.
        repeats: repeated answers.
        catch: (right, asked) over catch trials.
        reference: shape (C,), share of each class in the whole dataset that the images were taken from; None where not
            given.
        notes: how the files were read, for the page.
    """

    title: str
    ids: tuple[str, ...]
    label_set: LabelSet
    categories: tuple[str, ...]
    original: Int
    counts: Int
    raters: tuple[str, ...] = ()
    expression: Int = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))
    valence: Float = field(default_factory=lambda: np.empty((0, 0)))
    arousal: Float = field(default_factory=lambda: np.empty((0, 0)))
    wheel: Int = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))
    repeats: Repeats | None = None
    catch: tuple[int, int] = (0, 0)
    reference: Float | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_votes(self) -> int:
        """Number of votes for a category."""
        return int(self.counts.sum())

    def affect(self, name: str) -> Float | None:
        """Ratings of "valence" or "arousal", shape (R, N), or None where nobody rated."""
        values = self.valence if name == "valence" else self.arousal
        return values if values.size and not np.isnan(values).all() else None


def count_votes(expression: Int, n_categories: int) -> Int:
    """Votes per image from answers per rater.

    Args:
        expression: shape (R, N), -1 where none.
        n_categories: K.

    Returns:
        Shape (N, K).
    """
    n_images = expression.shape[1]
    raters, images = np.nonzero(expression >= 0)
    flat = np.bincount(images * n_categories + expression[raters, images], minlength=n_images * n_categories)
    return flat.reshape(n_images, n_categories)


def mean_over_raters(ratings: Float) -> Float:
    """Mean rating of each image, shape (N,), NaN where nobody rated it.

    Args:
        ratings: shape (R, N), NaN where none.
    """
    known = ~np.isnan(ratings)
    n = known.sum(axis=0)
    return np.where(n > 0, np.where(known, ratings, 0).sum(axis=0) / np.maximum(n, 1), np.nan)


def sd_over_raters(ratings: Float) -> Float:
    """Standard deviation (ddof 1) of each image's ratings, shape (N,), NaN below two ratings.

    Args:
        ratings: shape (R, N), NaN where none.
    """
    known = ~np.isnan(ratings)
    n = known.sum(axis=0)
    squares = np.where(known, (ratings - mean_over_raters(ratings)) ** 2, 0).sum(axis=0)
    return np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan)
