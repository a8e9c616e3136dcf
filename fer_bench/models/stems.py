"""Torchvision's networks for small images: a 224 px photograph may be halved five times, a 48 px face may not.

``stem: small`` takes the first halvings away and leaves the rest of the network as it is (``stem_stride`` is 1 or 2, 1
by default):

================================ ==================================================================== ==============
family                           what changes                                                         positions
================================ ==================================================================== ==============
ResNet, ResNeXt, Wide ResNet     7 x 7 convolution of stride 2, pooling: become a 3 x 3 convolution   6 x 6, 3 x 3
DenseNet, GoogLeNet, ShuffleNet  the same                                                             6 x 6, 3 x 3
SqueezeNet                       the same; pooling, one linear layer after the last fire module       12 x 12, 6 x 6
AlexNet                          the same; pooling, one linear layer after the convolutions           11 x 11, 5 x 5
VGG                              the last pooling goes, with stride 2 also the first; then as AlexNet 3 x 3, 3 x 3
Inception v3                     as ResNet, and its unpadded convolutions are padded                  5 x 5, 2 x 2
MobileNet, MNASNet, EfficientNet the stride of the first convolution                                  3 x 3, 2 x 2 *
================================ ==================================================================== ==============

The last column is the map of a 48 px face before global pooling, with stride 1 and 2 (*: as designed). What is new is
initialised as the rest of its network: He et al. (2015), fan out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn
from torchvision.models import (
    VGG,
    AlexNet,
    DenseNet,
    EfficientNet,
    GoogLeNet,
    Inception3,
    MNASNet,
    MobileNetV2,
    MobileNetV3,
    ResNet,
    ShuffleNetV2,
    SqueezeNet,
)

# Channels come in eights: that fills vector units, and a strided 1 x 1 convolution with fewer input channels than one
# of them holds writes past its memory (uxlfoundation/oneDNN, issue 6035: channels-last, backward, AVX2).
_UNIT = 8
# Torchvision's dropout before the classifier, where the dense layers that it belonged to are gone.
_DROPOUT = 0.5


def small_stem(body: nn.Module, stride: int, num_outputs: int) -> None:
    """Change a network in place, as the table above says.

    Args:
        body: of torchvision, with its classifier in place.
        stride: of the first convolution, 1 or 2.
        num_outputs: of the classifier, where it has to be made anew.

    Raises:
        ValueError: another stride, or a network that is of none of the families.
    """
    if stride not in (1, 2):
        message = f"stem_stride is {stride!r}, not 1 or 2"
        raise ValueError(message)
    for family, change in _FAMILIES.items():
        if isinstance(body, family):
            change(body, stride, num_outputs)
            return
    message = f"{type(body).__name__} has no stem that could be replaced"
    raise ValueError(message)


def narrow(body: nn.Module, width: float) -> None:
    """Give every layer of a residual network or a VGG ``width`` times its channels, in multiples of 8, and fresh
    weights; the classifier takes what is left.

    Args:
        body: as torchvision builds it, untrained, with its classifier in place.
        width: above 0.

    Raises:
        ValueError: another network, or a width out of range.
    """
    if not isinstance(body, ResNet | VGG):
        message = f"width is an option of ResNet and VGG, not of {type(body).__name__}"
        raise ValueError(message)
    if not isinstance(width, int | float) or not 0.05 <= width <= 4:
        message = f"width is {width!r}, not a number from 0.05 to 4"
        raise ValueError(message)
    last = body.fc if isinstance(body, ResNet) else body.classifier[-1]
    for name, module in list(body.named_modules()):
        new: nn.Module
        if isinstance(module, nn.Conv2d):
            before = (
                module.in_channels if module.in_channels == 3 else _scaled(module.in_channels, width, module.groups)
            )
            after = _scaled(module.out_channels, width, module.groups)
            kernel, padding = module.kernel_size[0], int(module.padding[0])
            new = _he(
                nn.Conv2d(
                    before,
                    after,
                    kernel,
                    module.stride[0],
                    padding,
                    module.dilation[0],
                    module.groups,
                    bias=module.bias is not None,
                )
            )
        elif isinstance(module, nn.BatchNorm2d):
            new = nn.BatchNorm2d(_scaled(module.num_features, width))
            # Ones, or the zeros of zero_init_residual.
            new.weight.data.copy_(module.weight.data.mean().expand_as(new.weight))
        elif isinstance(module, nn.Linear):
            pixels = 49 if isinstance(body, VGG) and name == "classifier.0" else 1
            after = module.out_features if module is last else _scaled(module.out_features, width)
            new = nn.Linear(_scaled(module.in_features // pixels, width) * pixels, after)
        else:
            continue
        parent, _, own = name.rpartition(".")
        setattr(body.get_submodule(parent), own, new)


def _scaled(channels: int, width: float, groups: int = 1) -> int:
    unit = math.lcm(_UNIT, groups)
    return max(round(channels * width / unit), 1) * unit


def _he(convolution: nn.Conv2d) -> nn.Conv2d:
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution


def _first(old: nn.Conv2d, stride: int) -> nn.Conv2d:
    return _he(nn.Conv2d(old.in_channels, old.out_channels, 3, stride, 1, bias=old.bias is not None))


def _resnet(body: ResNet, stride: int, num_outputs: int) -> None:
    body.conv1, body.maxpool = _first(body.conv1, stride), nn.Identity()


def _densenet(body: DenseNet, stride: int, num_outputs: int) -> None:
    body.features.conv0, body.features.pool0 = _first(body.features.conv0, stride), nn.Identity()


def _googlenet(body: GoogLeNet, stride: int, num_outputs: int) -> None:
    body.conv1.conv, body.maxpool1 = _first(body.conv1.conv, stride), nn.Identity()


def _inception(body: Inception3, stride: int, num_outputs: int) -> None:
    body.Conv2d_1a_3x3.conv, body.maxpool1 = _first(body.Conv2d_1a_3x3.conv, stride), nn.Identity()
    for block in (body.Conv2d_2a_3x3, body.Conv2d_4a_3x3):
        block.conv.padding = (1, 1)


def _shufflenet(body: ShuffleNetV2, stride: int, num_outputs: int) -> None:
    body.conv1[0], body.maxpool = _first(body.conv1[0], stride), nn.Identity()


def _squeezenet(body: SqueezeNet, stride: int, num_outputs: int) -> None:
    body.features[0], body.features[2] = _first(body.features[0], stride), nn.Identity()
    body.classifier = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(_DROPOUT), nn.Linear(512, num_outputs)
    )


def _alexnet(body: AlexNet, stride: int, num_outputs: int) -> None:
    body.features[0], body.features[2] = _first(body.features[0], stride), nn.Identity()
    for module in body.features:
        if isinstance(module, nn.Conv2d):
            # Torchvision leaves it to PyTorch's default, in which five layers without norms fade.
            _he(module)
    _global_pooling(body, 256, num_outputs)


def _vgg(body: VGG, stride: int, num_outputs: int) -> None:
    pools = [i for i, module in enumerate(body.features) if isinstance(module, nn.MaxPool2d)]
    body.features[pools[-1]] = nn.Identity()
    if stride == 2:
        body.features[pools[0]] = nn.Identity()
        body.features[0].stride = (2, 2)
    _global_pooling(
        body,
        next(module.out_channels for module in reversed(body.features) if isinstance(module, nn.Conv2d)),
        num_outputs,
    )


def _global_pooling(body: AlexNet | VGG, channels: int, num_outputs: int) -> None:
    dropout = next((module.p for module in body.classifier if isinstance(module, nn.Dropout)), _DROPOUT)
    body.avgpool = nn.AdaptiveAvgPool2d(1)
    body.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, num_outputs))


def _stride_only(body: nn.Module, stride: int, num_outputs: int) -> None:
    next(module for module in body.modules() if isinstance(module, nn.Conv2d)).stride = (stride, stride)


_FAMILIES: dict[type[nn.Module], Callable[..., None]] = {
    ResNet: _resnet,
    DenseNet: _densenet,
    GoogLeNet: _googlenet,
    Inception3: _inception,
    ShuffleNetV2: _shufflenet,
    SqueezeNet: _squeezenet,
    AlexNet: _alexnet,
    VGG: _vgg,
    MobileNetV2: _stride_only,
    MobileNetV3: _stride_only,
    MNASNet: _stride_only,
    EfficientNet: _stride_only,
}
