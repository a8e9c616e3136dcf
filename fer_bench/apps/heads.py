"""Where the heads of a grid are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_bench.probes.features import Place


def place_of(accelerator: str | None) -> Place:
    """The device, precision and loader processes of heads and features.

    Args:
        accelerator: as of :class:`fer_bench.spec.Execution`; None: whichever there is.
    """
    from fer_bench.probes.features import Place
    from fer_bench.spec import RunSpec
    from fer_bench.training import hardware

    device = hardware.resolve(RunSpec.model_validate({"execution": {"accelerator": accelerator or "auto"}}))
    return Place(device.device, device.precision, device.workers)
