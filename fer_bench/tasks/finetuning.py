"""Fine-tuning: which stages of a network train, from which epoch on, and at which rate.

Gradual unfreezing and a rate that falls from stage to stage: Howard and Ruder (2018), "Universal language model
fine-tuning for text classification".
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from fer_bench.errors import SpecError
from fer_bench.models.stages import Stages, stages_of
from fer_bench.spec import RunSpec

_DEFAULTS = {"freeze": "none", "unfreeze_every": 0, "backbone_lr": None, "layer_decay": 1.0}


@dataclass(frozen=True)
class FineTuning:
    """What a spec says of the stages of its network.

    Args:
        stages: of the network's body.
        frozen: stages from the input on that do not train in the first epoch.
        every: epochs after which the last of them begins to train; 0: never.
        backbone: factor on the rate of all but the head.
        decay: factor on the rate from stage to stage.
    """

    stages: Stages
    frozen: int
    every: int
    backbone: float
    decay: float

    @classmethod
    def of(cls, spec: RunSpec, body: nn.Module) -> FineTuning | None:
        """As the spec says; None where everything trains at one rate.

        Raises:
            SpecError: settings that do not go together, or more stages than the network has.
        """
        if all(getattr(spec, name) == value for name, value in _DEFAULTS.items()):
            return None
        if spec.unfreeze_every and spec.freeze == "none":
            problem = f"unfreeze_every = {spec.unfreeze_every} with freeze = 'none': nothing is frozen."
            raise SpecError(problem, "Set freeze too, for example freeze=backbone.")
        if spec.method in ("multitask", "two_stage"):
            problem = f"method = {spec.method!r} trains all of its network: it takes none of {', '.join(_DEFAULTS)}."
            raise SpecError(problem, "Leave them out, or set method=plain.")
        if spec.unfreeze_every and spec.execution.devices * spec.execution.num_nodes > 1:
            problem = "unfreeze_every: on several devices, what trains cannot change while a network trains."
            raise SpecError(problem, "Use one device, or leave unfreeze_every out.")
        stages = stages_of(body)
        frozen = len(stages.backbone) if spec.freeze == "backbone" else int(spec.freeze.replace("none", "0"))
        if frozen > len(stages.backbone):
            problem = f"freeze = {spec.freeze!r}: {spec.model} has {len(stages.backbone)} stages before its head."
            raise SpecError(problem, "Use a smaller number, or freeze=backbone.")
        rates = [name for name in ("backbone_lr", "layer_decay") if getattr(spec, name) != _DEFAULTS[name]]
        if rates and frozen == len(stages.backbone) and not spec.unfreeze_every:
            problem = f"{rates[0]} with freeze = {spec.freeze!r}: all but the head is frozen, and has no learning rate."
            raise SpecError(problem, f"Leave {rates[0]} out, freeze less, or set unfreeze_every.")
        backbone = 1.0 if spec.backbone_lr is None else spec.backbone_lr / spec.lr
        return cls(stages, frozen, spec.unfreeze_every, backbone, spec.layer_decay)

    def frozen_in(self, epoch: int) -> int:
        """Number of stages that do not train in an epoch, counted from 0."""
        return max(self.frozen - epoch // self.every, 0) if self.every else self.frozen

    def apply(self, body: nn.Module, epoch: int) -> None:
        """Before an epoch of training: freeze its frozen stages, and let the others train. Frozen norms keep their
        statistics.
        """
        kept = {name for stage in self.stages.backbone[: self.frozen_in(epoch)] for name in stage}
        for name, parameter in body.named_parameters():
            parameter.requires_grad_(name not in kept)
        for path, module in body.named_modules():
            own = [f"{path}.{name}" if path else name for name, _ in module.named_parameters(recurse=False)]
            if own:
                # Also back: after validation, every module is put into the mode that it had before.
                module.train(not kept.issuperset(own))

    def rates(self, prefix: str = "") -> dict[str, float]:
        """Factor on the learning rate of each parameter, by name."""
        factors = dict.fromkeys(self.stages.head, 1.0)
        for distance, stage in enumerate(reversed(self.stages.backbone), start=1):
            factors |= dict.fromkeys(stage, self.backbone * self.decay**distance)
        return {f"{prefix}{name}": factor for name, factor in factors.items()}
