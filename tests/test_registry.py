from __future__ import annotations

import pytest

from fer_bench.errors import UnknownNameError
from fer_bench.registry import Registry, unknown_name


def test_names_are_kept_once_and_sorted():
    registry = Registry("loss")
    registry.add("b", 2)

    @registry.register("a")
    def item():
        return None

    assert list(registry) == ["a", "b"]
    assert len(registry) == 2
    assert registry["a"] is item
    assert "b" in registry
    assert "c" not in registry
    with pytest.raises(ValueError, match="loss 'b' is registered twice"):
        registry.add("b", 3)
    assert registry["b"] == 2


def test_near_names_are_suggested_nearest_first():
    error = unknown_name("model", "ResNet-50", ["resnet50", "resnet18", "vgg16"])
    assert error.problem == "unknown model 'ResNet-50'."
    assert error.hint.startswith("Did you mean 'resnet50'")


def test_few_names_are_listed_and_many_are_pointed_to():
    assert unknown_name("loss", "zzz", ["b", "a"]).hint == "Known: a, b."
    assert "fer-bench list models" in unknown_name("model", "zzz", [f"name{i}" for i in range(30)]).hint
    assert "fer-bench list losses" in unknown_name("loss", "zzz", [f"name{i}" for i in range(30)]).hint


@pytest.mark.parametrize(
    "kind", ["dataset", "model", "task", "loss", "optimizer", "schedule", "augmentation", "protocol", "suite"]
)
def test_the_list_that_a_hint_points_to_exists(kind):
    from fer_bench.cli.inspect import _LISTS

    hint = unknown_name(kind, "zzz", [f"name{i}" for i in range(30)]).hint
    assert hint.split("`")[1].split()[2] in _LISTS


def test_without_a_list_all_names_are_shown():
    hint = unknown_name("setting", "zzz", [f"name{i}" for i in range(30)]).hint
    assert "fer-bench list" not in hint
    assert all(f"name{i}" in hint for i in range(30))


def test_lookup_of_an_unknown_name():
    registry = Registry("optimizer")
    registry.add("adamw", 1)
    with pytest.raises(UnknownNameError, match=r"unknown optimizer 'adamww'\. Did you mean 'adamw'\?"):
        registry["adamww"]
