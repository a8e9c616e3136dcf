"""A setting that changes nothing beside others is refused, or left out where nobody has typed it."""

import pytest

from fer_bench.apps.runs import compose
from fer_bench.errors import SpecError
from fer_bench.layering import without_idle
from fer_bench.spec import RunSpec
from fer_bench.tasks.rules_findingemo import PATIENCE
from fer_bench.training.idle import VIEWS, check_idle
from fer_bench.training.inference import fixed_views


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tta_kind": "flip"}, "tta_kind = 'flip' changes nothing here. Set tta=2 too"),
        ({"tta_kind": "five_crop", "tta": 10}, "tta = 10 .* always 5 views: set tta=5"),
        ({"progressive_step": 16}, "progressive_step = 16 .*Set progressive_from too"),
        ({"snapshot": "epoch_30"}, "snapshot = 'epoch_30' .*snapshot=last"),
        ({"stopper": "findingemo", "early_stopping": PATIENCE}, "early_stopping = 6"),
    ],
)
def test_it_is_refused(settings, says):
    with pytest.raises(SpecError, match=says):
        check_idle(RunSpec.model_validate(settings))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tta": 3},
        *({"tta": views, "tta_kind": kind} for kind, views in VIEWS.items()),
        {"progressive_step": 16, "progressive_from": 32},
        {"snapshot": "epoch_29"},
        {"snapshot": "epoch_30", "early_stopping": 3},
        {"stopper": "findingemo", "early_stopping": 3},
    ],
)
def test_what_changes_something_is_not(settings):
    check_idle(RunSpec.model_validate(settings))


def test_the_views_are_those_of_the_test():
    for kind, views in VIEWS.items():
        assert len(fixed_views(RunSpec(tta=views, tta_kind=kind))) == views


def test_what_a_recipe_has_for_something_that_is_switched_off_is_left_out():
    recipe = {
        "tta": 0,
        "tta_kind": "ten_crop",
        "progressive_from": None,
        "progressive_step": 16,
        "mixup": 0,
        "mix_until": 0.5,
    }
    assert without_idle(recipe, {"tta": 0}) == {"tta": 0, "progressive_from": None, "mixup": 0}
    # What was typed stays, and is refused.
    assert without_idle(recipe, {"tta_kind": "ten_crop"})["tta_kind"] == "ten_crop"
    on = {
        "tta": 10,
        "tta_kind": "ten_crop",
        "progressive_from": 32,
        "progressive_step": 16,
        "cutmix": 1,
        "mix_until": 0.5,
    }
    assert without_idle(on, {}) == on


def test_on_top_of_a_shipped_recipe(monkeypatch):
    from tests.training.conftest import ROOT

    monkeypatch.setenv("FER_BENCH_HOME", str(ROOT))
    given = {"dataset": "fer2013", "model": "five_layer_cnn", "progressive_from": None}
    spec = compose(given, use="fast/fast").spec
    assert (spec.progressive_from, spec.progressive_step) == (None, 4)
    check_idle(spec)
