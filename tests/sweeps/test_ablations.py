"""The suite of ablations: every row can be built, differs from the base in few settings, and students name rows of the
same suite as teachers."""

from pathlib import Path

import pytest

from fer_bench.datasets.load import build_datamodule
from fer_bench.sweeps.suite import read_suite
from fer_bench.tasks.distilling import VOTES, Distilling
from fer_bench.training.build import check_names
from tests.training.conftest import ROOT


@pytest.fixture(autouse=True)
def shipped(monkeypatch):
    monkeypatch.setenv("FER_BENCH_HOME", str(ROOT))


def test_every_row_can_be_built_and_teachers_come_before_their_students():
    before = set()
    for spec in read_suite(Path("fer2013_ablations")):
        check_names(spec)
        build_datamodule(spec)
        if spec.method == "distill":
            assert set(Distilling.of(spec).teachers) <= before | {VOTES}, spec.recipe
        before.add(spec.run_id())


def test_a_row_changes_what_its_name_says():
    base, *rows = read_suite(Path("fer2013_ablations"))
    plain = base.model_dump(exclude={"recipe"})
    for spec in rows:
        if spec.model != base.model or "100 epochs" in spec.recipe:
            continue
        own = spec.model_dump(exclude={"recipe"})
        changed = {name for name in own if own[name] != plain[name]}
        assert 1 <= len(changed) <= (4 if "mixup and CutMix" in spec.recipe else 2), (spec.recipe, changed)
        # Settings of the test make another row of the same training.
        assert (spec.training_id() == base.run_id()) == bool(spec.tta)
