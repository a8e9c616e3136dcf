"""What goes with a temporal model, judged before any data are opened."""

from __future__ import annotations

from fer_bench.errors import SpecError
from fer_bench.models.temporal_options import temporal_options
from fer_bench.spec import RunSpec


def check_temporal(spec: RunSpec) -> None:
    """Reject what does not go with clips.

    Raises:
        SpecError: names the setting, and what to use instead.
    """
    if temporal_options(spec) is None:
        return
    frozen = spec.freeze == "backbone" and not spec.unfreeze_every
    for setting, wrong, why, hint in (
        ("method", spec.method != "plain", "only method=plain looks at clips", "Leave method out."),
        ("mixup", bool(spec.mixup), "a mixture of two clips is none", "Leave mixup out."),
        ("cutmix", bool(spec.cutmix), "a mixture of two clips is none", "Leave cutmix out."),
        (
            "tta_kind",
            bool(spec.tta) and spec.tta_kind == "random",
            "random views differ from frame to frame",
            "Use tta_kind=flip, five_crop or ten_crop.",
        ),
        (
            "progressive_from",
            frozen and spec.progressive_from is not None,
            "a frozen network sees images of one side",
            "Leave progressive_from out.",
        ),
    ):
        if wrong:
            problem = f"{setting} = {getattr(spec, setting)!r} with temporal = {spec.temporal!r}: {why}."
            raise SpecError(problem, hint)
