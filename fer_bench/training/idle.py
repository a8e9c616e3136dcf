"""Settings that change nothing beside others: each would give a run that exists a second id."""

from __future__ import annotations

from fer_bench.errors import SpecError
from fer_bench.spec import RunSpec
from fer_bench.tasks.rules_findingemo import PATIENCE

# How many views each fixed kind of test-time augmentation is, whatever ``tta`` says.
VIEWS = {"flip": 2, "five_crop": 5, "ten_crop": 10}


def check_idle(spec: RunSpec) -> None:
    """Refuse a setting that changes nothing.

    Raises:
        SpecError: names it, and what to set beside it or instead.
    """
    views = VIEWS.get(spec.tta_kind, spec.tta)
    to_the_end = not spec.early_stopping and spec.stopper == "patience"
    for setting, idle, hint in (
        ("tta_kind", spec.tta_kind != "random" and not spec.tta, f"Set tta={views} too, or leave tta_kind out."),
        ("tta", spec.tta and spec.tta != views, f"tta_kind={spec.tta_kind} is always {views} views: set tta={views}."),
        (
            "progressive_step",
            spec.progressive_from is None and spec.progressive_step != RunSpec.model_fields["progressive_step"].default,
            "Set progressive_from too, or leave progressive_step out.",
        ),
        ("snapshot", spec.snapshot == f"epoch_{spec.epochs}" and to_the_end, "The last epoch is snapshot=last."),
        (
            "early_stopping",
            spec.stopper == "findingemo" and spec.early_stopping == PATIENCE,
            f"stopper=findingemo means {PATIENCE} epochs by 0: leave early_stopping out.",
        ),
    ):
        if idle:
            problem = f"{setting} = {getattr(spec, setting)!r} changes nothing here."
            raise SpecError(problem, hint)
