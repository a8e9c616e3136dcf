"""Which way to join members is best, decided on validation, honestly: each way chooses and weighs members on four
fifths of it and is scored on the last fifth.

The score that an ensemble reaches on the very samples that it was chosen on flatters it, the more the freer its way of
choosing: a greedy selection always looks better there than a plain mean. Held out, they can be compared without a look
at the test set. The stacker of classes is not among the ways: it chooses its penalty by its own cross-validation, which
would take minutes; that of values has a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fer_bench.ensembles.choice import Selection, TopK, choose, join
from fer_bench.ensembles.selection import ValidationSet
from fer_bench.ensembles.validation_folds import FOLDS, validation_folds
from fer_bench.ensembles.votes import Rule


@dataclass(frozen=True)
class Way:
    """A rule and a selection, as :func:`~fer_bench.ensembles.build.build_ensemble` takes them.

    Args:
        rule: the rule.
        top_k: None for all members, ``best`` for as many of the best as score best together.
        selection: ``greedy``, ``mixture``, ``stack`` or None.
        bags: of the greedy selection.
    """

    rule: Rule
    top_k: TopK = None
    selection: Selection | None = None
    bags: int = 0

    @property
    def flags(self) -> str:
        """What to write on the command line."""
        options = (
            ("--rule", self.rule),
            ("--top-k", self.top_k),
            ("--selection", self.selection),
            ("--bags", self.bags or None),
        )
        return " ".join(
            f"{flag} {value}"
            for flag, value in options
            if value is not None and not (flag == "--rule" and self.selection)
        )


WAYS = (
    Way("majority"),
    Way("majority", "best"),
    Way("weighted", "best"),
    Way("soft"),
    Way("soft", "best"),
    Way("soft", selection="mixture"),
    Way("soft", selection="greedy"),
    Way("soft", selection="greedy", bags=20),
)
VALUE_WAYS = (
    Way("mean"),
    Way("mean", "best"),
    Way("weighted_mean"),
    Way("weighted_mean", "best"),
    Way("mean", selection="greedy"),
    Way("mean", selection="greedy", bags=20),
    Way("mean", selection="stack"),
)

# A ridge regression's outputs are no probabilities.
_BY_KIND = {"classes": WAYS, "labels": VALUE_WAYS[:-1], "values": VALUE_WAYS}


def ways_of(kind: str) -> tuple[Way, ...]:
    """The ways that are compared for ``classes``, ``labels`` or ``values``."""
    return _BY_KIND[kind]


def held_out_score(validation: ValidationSet, metric: str, way: Way, seed: int = 0, repeats: int = 1) -> float:
    """Score of a way on validation samples that its choice of members and weights has not seen.

    Args:
        validation: the candidates.
        metric: what is maximised and scored.
        way: how they are joined.
        seed: of the folds and bags.
        repeats: how often validation is split into folds; the mean is returned.
    """
    scores = []
    for repeat in range(repeats):
        folds = validation_folds(validation, seed + repeat)
        joint = np.empty_like(validation.outputs[0])
        for fold in range(FOLDS):
            held_out = folds == fold
            choice = choose(
                validation.rows(~held_out), metric, way.top_k, way.rule, None, way.selection, way.bags, seed
            )
            joint[held_out] = join(choice, way.rule, validation.outputs[choice.members][:, held_out])
        scores.append(float(validation.scores(metric, joint[None])[0]))
    return float(np.mean(scores))
