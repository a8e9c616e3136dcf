"""One label per image from many raters, with a confidence.

With rater identities the label is Dawid and Skene's (1979): every rater has a confusion matrix, estimated together with
the labels. Vote counts without identities cannot tell a careful rater from a careless one; there the label is the
category most voted for, and its confidence a posterior share of the votes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.data.label_file import read_labels, write_labels
from fer_bench.errors import MissingPackageError
from fer_bench.labels import LabelSet

__all__ = ["Consensus", "dawid_skene", "read_labels", "vote_posterior", "write_consensus"]


@dataclass(frozen=True)
class Consensus:
    """Labels that raters agreed on.

    Args:
        method: "dawid-skene" or "vote-posterior".
        posterior: shape (N, K), rows sum to 1; a row of zeros where nobody voted.
        confusions: shape (R, K, K), estimated P(answer | true category) of each rater; None without rater identities.
    """

    method: str
    posterior: npt.NDArray[np.float64]
    confusions: npt.NDArray[np.float64] | None = None

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Shape (N,), the category of highest posterior, -1 where nobody voted."""
        return np.where(self.posterior.sum(axis=1) > 0, self.posterior.argmax(axis=1), -1)

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """Shape (N,), the posterior of the label, 0 to 1."""
        best: npt.NDArray[np.float64] = self.posterior.max(axis=1)
        return best

    def accuracies(self) -> npt.NDArray[np.float64] | None:
        """Shape (R,), each rater's probability to give the true category, over the estimated shares of the
        categories.
        """
        if self.confusions is None:
            return None
        prior = self.posterior.mean(axis=0)
        right: npt.NDArray[np.float64] = np.einsum("rkk,k->r", self.confusions, prior / prior.sum())
        return right


def dawid_skene(answers: npt.NDArray[np.int64], n_categories: int, n_iterations: int = 100) -> Consensus:
    """Consensus by Dawid and Skene's model, from crowd-kit.

    Args:
        answers: shape (R, N), category of each rater for each image, -1 where none.
        n_categories: K.
        n_iterations: at most so many steps of expectation and maximisation.

    Returns:
        The consensus. Its confidence is that of a model which takes raters' errors as independent: usually too high.

    Raises:
        MissingPackageError: crowd-kit is not installed.
    """
    try:
        from crowdkit.aggregation import DawidSkene
    except ImportError:
        problem = "Dawid-Skene needs the package crowd-kit."
        raise MissingPackageError(problem, 'Install it with `pip install "fer_bench[study]"`.') from None
    import pandas as pd

    raters, images = np.nonzero(answers >= 0)
    votes = pd.DataFrame({"task": images, "worker": raters, "label": answers[raters, images]})
    model = DawidSkene(n_iter=n_iterations, tol=1e-6).fit(votes)
    posterior = np.zeros((answers.shape[1], n_categories))
    posterior[np.ix_(model.probas_.index, model.probas_.columns)] = model.probas_.to_numpy()
    confusions = np.zeros((answers.shape[0], n_categories, n_categories))
    # crowd-kit's errors are P(observed | true), rows (worker, observed), columns true.
    for (rater, observed), row in zip(model.errors_.index, model.errors_.to_numpy(), strict=True):
        confusions[rater, np.asarray(model.errors_.columns, dtype=np.int64), observed] = row
    return Consensus("dawid-skene", posterior, confusions)


def vote_posterior(counts: npt.NDArray[np.int64], prior_votes: float = 1.0) -> Consensus:
    """Consensus of vote counts without rater identities.

    Args:
        counts: shape (N, K), votes per image and category.
        prior_votes: weight, in votes, of the categories' overall shares (a Dirichlet prior); it also decides ties.

    Returns:
        The consensus: posterior mean share of every category among raters.
    """
    shares = counts.sum(axis=0) / max(1, counts.sum())
    posterior = (counts + prior_votes * shares) / (counts.sum(axis=1, keepdims=True) + prior_votes)
    posterior[counts.sum(axis=1) == 0] = 0
    return Consensus("vote-posterior", posterior)


def write_consensus(path: Path, ids: Sequence[str], consensus: Consensus, label_set: LabelSet) -> int:
    """Write ``consensus.csv``; images whose consensus is no class of the set ("unknown") are left out.

    Args:
        path: the CSV file.
        ids: N ids.
        consensus: N labels; categories from ``len(label_set)`` on are no classes.
        label_set: the classes.

    Returns:
        Number of rows written.
    """
    labels = np.where(consensus.labels < len(label_set), consensus.labels, -1)
    return write_labels(path, ids, labels, consensus.confidence, label_set)
