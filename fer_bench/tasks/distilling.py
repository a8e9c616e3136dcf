"""DistillingTask: a classifier that also learns from the outputs of trained networks on its training images (Hinton,
Vinyals and Dean 2015).

The loss is ``(1 - alpha) x`` the named loss of the labels ``+ alpha x T^2 x KL(teachers || student)``, both sides'
logits divided by the temperature T.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.labels import LabelSet
from fer_bench.spec import RunSpec
from fer_bench.tasks.expression import ExpressionTask
from fer_bench.tasks.mixing import Targets

METHOD = "distill"
# A teacher that is not a network: see fer_bench/training/votes.py.
VOTES = "votes:ferplus"
OPTIONS = ("teachers", "temperature", "alpha")


@dataclass(frozen=True)
class Distilling:
    """The ``method_options`` of a distillation.

    Args:
        teachers: run ids, or ``votes:ferplus`` (FER+'s votes on FER2013's faces), at least one; several count equally.
        temperature: positive; 1 leaves the outputs unchanged, higher values soften them.
        alpha: weight of the teachers' part of the loss, in (0, 1].
    """

    teachers: tuple[str, ...]
    temperature: float = 4.0
    alpha: float = 0.7

    @classmethod
    def of(cls, spec: RunSpec) -> Distilling:
        """Read the options of a run.

        Raises:
            SpecError: no teacher, an unknown option, or a value out of range.
        """
        given = dict(spec.method_options)
        if unknown := set(given) - set(OPTIONS):
            problem = f"method_options.{min(unknown)}: there is no such option."
            raise SpecError(problem, f"Options: {', '.join(OPTIONS)}.")
        named = given.pop("teachers", None)
        teachers = [name for name in (named if isinstance(named, list) else [named]) if isinstance(name, str) and name]
        if not teachers or (isinstance(named, list) and len(teachers) < len(named)):
            problem = (
                f"method_options.teachers = {named!r}: method = {METHOD!r} needs the ids of one or more trained runs."
            )
            raise SpecError(
                problem, "`fer-bench list runs` shows them; for example method_options.teachers=[1a2b3c4d5e-s0]."
            )
        if other := next((name for name in teachers if name.startswith("votes:") and name != VOTES), None):
            problem = f"method_options.teachers: there are no votes {other!r}."
            raise SpecError(problem, f"Known: {VOTES}.")
        if twice := next((name for name in teachers if teachers.count(name) > 1), None):
            problem = f"method_options.teachers names {twice} twice."
            raise SpecError(problem, "Name each teacher once; all count equally.")
        for key, most in (("temperature", 100.0), ("alpha", 1.0)):
            value = given.get(key, 1.0)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
                problem = f"method_options.{key} = {value!r}: must be a number above 0, up to {most:g}."
                raise SpecError(problem, "Correct the value.")
        return cls(tuple(teachers), **{key: float(value) for key, value in given.items()})  # type: ignore[arg-type]


class DistillingTask(ExpressionTask):
    """Classification by labels and teachers.

    Args:
        spec: the run; ``method`` is ``distill``.
        network: returns logits (B, C).
        label_set: the classes.
        class_counts: shape (C,).
        taught: (N, C), the teachers' mean probabilities at the temperature, by position in the training split; None
            where nothing is trained.

    Raises:
        SpecError: as :meth:`Distilling.of`.
    """

    def __init__(
        self,
        spec: RunSpec,
        network: nn.Module,
        label_set: LabelSet,
        class_counts: Any = None,
        taught: torch.Tensor | None = None,
    ) -> None:
        self.options = Distilling.of(spec)
        super().__init__(spec, network, label_set, class_counts)
        # Not a buffer: it belongs to the training, not to the network.
        self.taught = taught

    def columns(self, batch: dict[str, torch.Tensor]) -> Targets:
        """The teachers' answers too."""
        assert self.taught is not None
        self.taught = self.taught.to(batch["index"].device)
        return {**super().columns(batch), "taught": self.taught[batch["index"]]}

    def criterion(self, outputs: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The named loss and the divergence from the teachers, weighed."""
        temperature, alpha = self.options.temperature, self.options.alpha
        divergence = nn.functional.kl_div(
            (outputs / temperature).log_softmax(dim=1), targets["taught"], reduction="batchmean"
        )
        return (1 - alpha) * super().criterion(outputs, targets) + alpha * temperature**2 * divergence
