"""How networks are divided for fine-tuning."""

import pytest
import torch
from torch import nn

from fer_bench.models.catalog import MODELS
from fer_bench.models.stages import stages_of
from fer_bench.models.zoo import build_network


def stages(name, **options):
    with torch.device("meta"):
        body = build_network(name, 7, options=options).body
    found = stages_of(body)
    placed = [parameter for stage in found.backbone for parameter in stage] + list(found.head)
    assert sorted(placed) == sorted(parameter for parameter, _ in body.named_parameters())
    return found


@pytest.mark.parametrize(
    ("name", "firsts"),
    [
        ("resnet18", ["conv1", "layer1", "layer2", "layer3", "layer4"]),
        ("five_layer_cnn", ["features.0", "features.8", "features.16", "features.24", "head.1"]),
        ("vgg13_bn", [f"features.{i}" for i in (0, 7, 14, 21, 28)] + ["classifier.0"]),
        ("densenet121", [f"features.{part}" for part in ("conv0", "denseblock1", "transition1", "denseblock2",
                                                         "transition2", "denseblock3", "transition3", "denseblock4")]),
        ("timm:tf_efficientnet_lite0", ["conv_stem"] + [f"blocks.{i}" for i in range(7)]),
        ("timm:vit_tiny_patch16_224", ["cls_token"] + [f"blocks.{i}" for i in range(1, 12)]),
    ],
)  # fmt: skip
def test_stages_follow_the_parts_of_a_network(name, firsts):
    found = stages(name)
    begins = [stage[0] for stage in found.backbone]
    assert len(found.backbone) in (len(firsts), len(firsts) + 1)
    assert all(any(begin.startswith(first) for begin in begins) for first in firsts)
    assert len(found.head) == 2


@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith(("resnet1", "densenet2", "wide"))])
def test_every_network_has_a_head_and_stages_before_it(name):
    found = stages(name)
    assert found.backbone
    assert found.head


def test_a_last_norm_belongs_to_the_stage_before_it():
    assert "features.norm5.weight" in stages("densenet121").backbone[-1]


def test_parameters_of_no_layer_are_added_to_the_input():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer1, self.fc = nn.Sequential(nn.Linear(2, 2)), nn.Linear(2, 3)
            self.token = nn.Parameter(self.fc.weight.new_zeros(1))

    found = stages_of(Net())
    assert found.backbone == (("token", "layer1.0.weight", "layer1.0.bias"),)
    assert found.head == ("fc.weight", "fc.bias")
