"""A network that cannot do what is asked of it is refused in one line, before data are read; a trial changes no draw of
training."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fer_bench.errors import SpecError, WeightsError
from fer_bench.models import trial
from fer_bench.models.catalog import MODELS, ModelEntry
from fer_bench.models.trial import try_network, try_sides, try_specified
from fer_bench.models.zoo import build_network
from fer_bench.spec import RunSpec
from fer_bench.training.build import check_names


class Mine(nn.Module):
    """A network of a user, with one of several faults."""

    def __init__(self, num_classes, image_size=48, fault="none"):
        super().__init__()
        self.fault = fault
        self.first = nn.Conv2d(1 if fault == "grey" else 3, 4, 3)
        self.deep = nn.Conv3d(1, 1, (1, 3, 3)) if fault == "deep" else nn.Identity()
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(4, num_classes + (fault == "outputs"))

    def forward(self, x):
        x = self.norm(self.first(x))
        x = self.deep(x.unsqueeze(1)).squeeze(1) if self.fault == "deep" else x
        x = self.last(self.drop(x.mean(dim=(2, 3))))
        if self.fault == "raises":
            message = "the first line\nthe second line"
            raise KeyError(message)
        return {"tuple": (x, x), "nan": x * float("nan"), "flat": x.flatten()}.get(self.fault, x)


@pytest.fixture(autouse=True)
def mine(monkeypatch):
    monkeypatch.setitem(MODELS._items, "mine", ModelEntry("own", f"{__name__}:Mine", 48))


def test_runs_that_share_a_network_share_its_trial(monkeypatch):
    tried = []
    monkeypatch.setattr(trial, "_tried", set())
    monkeypatch.setattr(trial, "try_sides", lambda network, spec, n_outputs: tried.append(spec))
    for settings in ({}, {"lr": 0.1, "seed": 3, "epochs": 2}, {"image_size": 32}, {"model_options": {"width": 2}}):
        try_specified(RunSpec.model_validate({"model": "five_layer_cnn", **settings}), 7)
    try_specified(RunSpec.model_validate({"model": "five_layer_cnn"}), 8)
    assert [(spec.image_size, spec.model_options) for spec in tried] == [
        (None, {}),
        (32, {}),
        (None, {"width": 2}),
        (None, {}),
    ]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("grey", r"Networks get 3 channels"),
        ("tuple", r"returns a tuple where one tensor is expected"),
        ("outputs", r"of shape \(1, 8\) for one image, not \(1, 7\)"),
        ("flat", r"of shape \(7,\) for one image"),
        ("raises", r"fails on an image of 48 x 48 px \(KeyError: .*the first line"),
    ],
)
def test_a_users_network(fault, says, own_folders):
    with pytest.raises(SpecError, match=says) as found:
        check_names(RunSpec.model_validate({"model": "mine", "model_options": {"fault": fault}}))
    assert "\n" not in str(found.value)
    assert not list(own_folders.rglob("*.npy")), "no data were read"


def test_a_network_that_answers_with_nan():
    with pytest.raises(SpecError, match="NaN"):
        try_sides(build_network("mine", 7, options={"fault": "nan"}), RunSpec(model="mine"), 7)


def test_weights_of_five_dimensions_are_no_obstacle():
    network = build_network("mine", 7, options={"fault": "deep"})
    try_network(network, "mine", n_outputs=7)
    assert network.body.first.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["timm:inception_v3", "timm:hrnet_w18_small", "timm:inception_resnet_v2"])
def test_networks_of_timm_that_need_larger_images(name):
    pytest.importorskip("timm")
    with pytest.raises(SpecError, match=r"fails on an image of 48 x 48 px.*image_size"):
        try_specified(RunSpec(model=name, image_size=48), 7)


def test_a_side_that_only_the_first_epochs_have():
    spec = RunSpec(model="timm:inception_v3", image_size=96, progressive_from=48)
    pytest.importorskip("timm")
    with pytest.raises(SpecError, match="48 x 48"):
        try_specified(spec, 7)


def test_nothing_is_changed():
    torch.manual_seed(5)
    network = build_network("mine", 7)
    network.body.norm.eval()
    before, state = {key: value.clone() for key, value in network.state_dict().items()}, torch.get_rng_state()
    try_sides(network, RunSpec(model="mine"), 7)
    try_specified(RunSpec(model="mine"), 7)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert network.training
    assert network.body.drop.training
    assert not network.body.norm.training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_weights_are_read_before_data(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(3)}, path)
    for file, says in ((path, "another architecture"), (tmp_path / "none.pth", "no such file")):
        with pytest.raises(WeightsError, match=says):
            check_names(RunSpec(model="mine", weights=str(file)))
    torch.save(build_network("resnet18", 5).state_dict(), path)
    try_specified(RunSpec(model="resnet18", weights=str(path)), 7)
    with pytest.raises(WeightsError, match=r"another architecture|missing|shape"):
        try_specified(RunSpec(model="resnet34", weights=str(path)), 7)
