"""InputAdapter: the one place where an 8-bit image becomes a network's input."""

from __future__ import annotations

import torch
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.models.pretrained import PACKAGES

NORMALIZATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "centred": ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


def default_normalization(model: str, weights: str) -> str:
    """The constants that a network is fed with where nothing else is asked for: those that its ImageNet weights were
    trained with, centred otherwise.

    A file of an EfficientNet-Lite is taken for ImageNet's: nobody else trains those networks. Of other files nothing is
    known here.

    Args:
        model: an alias of the catalogue or ``timm:<name>``.
        weights: ``none``, ``imagenet`` or the path of a file.

    Raises:
        SpecError: timm's weights were trained with constants that have no name here.
    """
    lite = model.startswith("timm:") and model.removeprefix("timm:").partition(".")[0] in PACKAGES
    if weights in ("none", "auto") or (weights != "imagenet" and not lite):
        return "centred"
    designed = None
    if model.startswith("timm:"):
        import timm

        designed = timm.get_pretrained_cfg(model.removeprefix("timm:"), allow_unregistered=True)
    if designed is None:
        return "imagenet"
    for name, constants in NORMALIZATIONS.items():
        if all(
            torch.allclose(torch.tensor(a), torch.tensor(b))
            for a, b in zip(constants, (designed.mean, designed.std), strict=True)
        ):
            return name
    problem = (
        f"{model}: its weights were trained with mean {designed.mean} and standard deviation {designed.std}, which have"
        " no name here."
    )
    raise SpecError(problem, f"Choose one with --set normalization=NAME: {', '.join(NORMALIZATIONS)}.")


class InputAdapter(nn.Module):
    """uint8 images of one or three channels and any size to normalised floats of the network's channels and size.

    It is part of the network, so that training, prediction, the live camera and an exported file cannot disagree about
    it, and it runs on the device: 48 px bytes travel to the accelerator, not 224 px floats.

    Args:
        normalization: ``imagenet``, ``centred`` (mean 0.5, standard deviation 0.25), ``symmetric`` (-1 to 1), ``clip``
            or ``unit`` (0 to 1).
        size: side of the output in pixels; None keeps the input's size.
        keep: images keep their proportions, and ``size`` is their shorter side; else they are stretched to a square.
        channels: 1 or 3. Grey is repeated for three; colour is averaged by ITU-R BT.601 luma weights for one.
    """

    mean: torch.Tensor
    std: torch.Tensor
    luma: torch.Tensor

    def __init__(
        self, normalization: str = "centred", size: int | None = None, channels: int = 3, *, keep: bool = False
    ) -> None:
        super().__init__()
        mean, std = NORMALIZATIONS[normalization]
        self.size, self.channels, self.keep = size, channels, keep
        self.register_buffer("mean", torch.tensor(mean[:channels]).view(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std[:channels]).view(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("luma", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Adapt (B, 1 or 3, H, W), uint8 or float in 0..255, to float (B, channels, size, size) in channels-last
        memory; kept in their proportions, one of the sides is longer.
        """
        x = images.float()
        if self.channels == 1 and x.shape[1] == 3:
            x = (x * self.luma).sum(dim=1, keepdim=True)
        if self.size is not None:
            given = [int(n) for n in x.shape[2:]]
            sides = [round(n * self.size / min(given)) if self.keep else self.size for n in given]
            if sides != given:
                smaller = given[0] > sides[0]
                x = nn.functional.interpolate(x, sides, mode="bilinear", align_corners=False, antialias=smaller)
        if self.channels == 3 and x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        return ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
