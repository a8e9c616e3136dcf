"""Checkpoints as other people keep them."""

import pytest
import torch
import torchvision

from fer_bench.errors import WeightsError
from fer_bench.models.converting import current_name, fitting, head_names
from fer_bench.models.zoo import build_network


def network(n=7):
    return build_network("squeezenet1_1", n, native_size=48)


@pytest.fixture(scope="module")
def theirs():
    """The state dict of somebody's SqueezeNet of eight classes."""
    torch.manual_seed(3)
    return torchvision.models.squeezenet1_1(num_classes=8).state_dict()


def wrapped(prefix):
    return lambda state: {f"{prefix}{key}": value for key, value in state.items()}


WRAPPINGS = {
    "as it is": lambda state: state,
    **{
        prefix: wrapped(prefix)
        for prefix in (
            "module.",
            "model.",
            "backbone.",
            "encoder.",
            "net.",
            "_orig_mod.",
            "module.model.backbone.",
            "anything.",
        )
    },
    "Lightning's": lambda state: {
        "state_dict": wrapped("model.")(state),
        "epoch": 3,
        "pytorch-lightning_version": "2.6.6",
    },
    "Lightning's, compiled": lambda state: {
        "state_dict": wrapped("model._orig_mod.")(state),
        "hyper_parameters": {"lr": 0.1},
    },
    "of a loop": lambda state: {
        "model_state_dict": state,
        "optimizer_state_dict": {"state": {0: {"exp_avg": torch.zeros(3)}}},
        "loss": torch.tensor(1.0),
    },
    "under two names": lambda state: {"model": {"state_dict": state}, "args": {"lr": 0.1}},
    "a part in parallel": lambda state: {
        key.replace("features.", "features.module."): value for key, value in state.items()
    },
    "a contrastive encoder beside its double": lambda state: {
        "state_dict": {
            **wrapped("module.encoder_q.")(state),
            **wrapped("module.encoder_k.")({k: v * 0 for k, v in state.items()}),
            "module.queue": torch.zeros(4),
        }
    },
    "the body of a larger network": lambda state: {
        **wrapped("backbone.")(state),
        "neck.weight": torch.zeros(3, 3),
        "head.weight": torch.zeros(3, 3),
    },
    "averaged weights beside the others": lambda state: {
        "state_dict": {k: v * 0 for k, v in state.items()},
        "state_dict_ema": state,
    },
    "without a head": lambda state: {key: value for key, value in state.items() if not key.startswith("classifier")},
}


@pytest.mark.parametrize("form", WRAPPINGS)
def test_every_usual_wrapping(tmp_path, theirs, form):
    torch.save(WRAPPINGS[form](theirs), tmp_path / "theirs.pth")
    loaded = build_network("squeezenet1_1", 7, native_size=48, weights=str(tmp_path / "theirs.pth"))
    own = loaded.body.state_dict()
    assert all(torch.equal(own[key], value) for key, value in theirs.items() if not key.startswith("classifier"))
    assert own["classifier.1.weight"].shape[0] == 7
    assert loaded.initial.source == "a file of the user's"
    assert "50 of 52 tensors" in loaded.initial.taken
    assert "left fresh: body.classifier.1.bias (7,)" in loaded.initial.taken
    if form != "without a head":
        assert "(8,) in the file" in loaded.initial.taken


def test_what_is_not_used_is_said(theirs):
    found = fitting(network(), {"state_dict": {**theirs, "extra.weight": torch.zeros(1)}}, "x.pth")
    assert found.where == "state_dict"
    assert found.unused == ["extra.weight"]
    assert "1 in the file unused, the first is extra.weight" in found.describe()


def test_another_network_is_refused_with_the_first_names_of_both(theirs):
    with pytest.raises(
        WeightsError, match=r"another architecture.*begin with features\.0\.weight, the network's with conv1\.weight"
    ):
        fitting(build_network("resnet18", 7, native_size=48), theirs, "x.pth")


def test_every_shape_that_differs_counts(theirs):
    changed = dict(theirs, **{"features.0.weight": torch.zeros(5, 3, 3, 3), "features.0.bias": torch.zeros(5)})
    with pytest.raises(
        WeightsError,
        match=(
            r"body\.features\.0\.weight has shape \(5, 3, 3, 3\), the network needs \(64, 3, 3, 3\); 1 others"
            r" differ too"
        ),
    ):
        fitting(network(), changed, "x.pth")


@pytest.mark.parametrize(
    "pair", [("resnet18", "timm:resnet18"), ("timm:resnet18", "resnet18"), ("densenet121", "timm:densenet121")]
)
def test_torchvision_and_timm_where_their_names_agree(pair):
    with torch.device("meta"):
        source, target = (build_network(name, 7, native_size=48) for name in pair)
    found = fitting(target, source.body.state_dict(), "x.pth")
    assert len(found.state) == found.total == len(source.body.state_dict())


def test_torchvision_files_of_densenets_have_old_names():
    with torch.device("meta"):
        net = build_network("densenet121", 7, native_size=48)
    old = {}
    for key, value in net.body.state_dict().items():
        for part in ("norm1", "norm2", "conv1", "conv2"):
            if "denselayer" in key:
                key = key.replace(f".{part}.", f".{part[:-1]}.{part[-1]}.")
        old[key] = value
    assert current_name("features.denseblock1.denselayer1.norm.1.weight") in net.body.state_dict()
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert len(fitting(net, old, "x.pth").state) == len(old)


def efficientnet_pytorch(state):
    """A state dict under names like EfficientNet-PyTorch's: other names, the same order."""
    names = [key.rpartition(".") for key in state]
    layers = list(dict.fromkeys(layer for layer, _, _ in names))
    called = {layer: "_conv_stem" if i == 0 else f"_layer{i}" for i, layer in enumerate(layers)}
    return {f"{called[layer]}.{kind}": value for (layer, _, kind), value in zip(names, state.values(), strict=True)}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_efficientnet_pytorch_is_matched_by_order(prefix):
    net = build_network("timm:tf_efficientnet_b0", 7, native_size=48)
    theirs = efficientnet_pytorch(build_network("timm:tf_efficientnet_b0", 1000, native_size=48).body.state_dict())
    found = fitting(net, wrapped(prefix)(theirs), "x.pth")
    assert found.by_order
    assert "matched by order" in found.describe()
    assert all(
        torch.equal(value, other)
        for value, other in zip(
            list(found.state.values())[:9], list(theirs.values())[:5] + list(theirs.values())[6:10], strict=True
        )
    )
    # one tensor of another shape or kind, and nothing is matched by order
    swapped = list(theirs.items())
    swapped[1], swapped[3] = swapped[3], swapped[1]
    with pytest.raises(WeightsError, match="another architecture"):
        fitting(net, dict(swapped), "x.pth")
    with pytest.raises(WeightsError, match="another architecture"):
        fitting(net, dict(list(theirs.items())[:-3]), "x.pth")


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet18", "body.fc."),
        ("squeezenet1_1", "body.classifier.1."),
        ("timm:vit_tiny_patch16_224", "body.head."),
        ("five_layer_cnn", "body.classifier."),
    ],
)
def test_heads(name, head):
    with torch.device("meta"):
        net = build_network(name, 7, image_size=None)
    assert head_names(net) == {f"{head}weight", f"{head}bias"}
