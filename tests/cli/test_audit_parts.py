from __future__ import annotations

import pytest

from tests.datasets.fakes_va import write_afew_va
from tests.datasets.test_affectnet_module import write_2021, write_folder


def test_audit_of_a_part_says_what_is_missing(fer_bench, tmp_path):
    write_2021(tmp_path / "val")
    (tmp_path / "val" / "train_set").rename(tmp_path / "away")
    done = fer_bench("audit", "affectnet", "--data-dir", tmp_path / "val")
    assert done.code == 0, done.err
    assert "16 samples, layout: release of 2021 (.npy)" in done.out
    assert "train and validation are missing" in done.out
    write_folder(tmp_path / "one", [10] * 8)
    done = fer_bench("audit", "affectnet", "--task", "va", "--data-dir", tmp_path / "one")
    assert done.code == 0, done.err
    assert "train, validation and test are missing" in done.out
    assert "0 of the 16 test images have the expression code 8 (none)" in done.out
    assert fer_bench("audit", "affectnet", "--data-dir", tmp_path / "nothing").code == 2


@pytest.mark.parametrize("arguments", [(), ("--task", "valence")])
def test_audit_takes_the_dataset_s_own_task(fer_bench, tmp_path, arguments):
    write_afew_va(tmp_path / "afew_va", clips=10)
    done = fer_bench("audit", "afew_va", "--data-dir", tmp_path, *arguments)
    assert done.code == 0, done.err
    assert done.out.startswith("afew_va: ")
