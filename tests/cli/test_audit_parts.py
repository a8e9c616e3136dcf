from __future__ import annotations

import pytest

from fer_bench.data.joint_distribution import joint_counts, joint_lines
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


@pytest.mark.draws
def test_audit_of_values_shows_their_joint_distribution(fer_bench, tmp_path):
    write_afew_va(tmp_path / "afew_va", clips=10)
    done = fer_bench("audit", "afew_va", "--data-dir", tmp_path, "--task", "va", "--figure", tmp_path / "labels.png")
    assert done.code == 0, done.err
    assert done.out.count("% of labels, valence to the right, arousal upwards") == 3
    assert (tmp_path / "labels.png").read_bytes().startswith(b"\x89PNG")
    lines = done.out.splitlines()
    first = next(i for i, line in enumerate(lines) if "% of labels" in line)
    cells = [float(cell) for line in lines[first + 1 : first + 6] for cell in line.split("|")[1].split()]
    assert len(cells) == 25
    assert abs(sum(cells) - 100) < 1.5
    assert lines[first + 6].split() == [
        "-10",
        "to",
        "-6",
        "-6",
        "to",
        "-2",
        "-2",
        "to",
        "2",
        "2",
        "to",
        "6",
        "6",
        "to",
        "10",
    ]
    refused = fer_bench("audit", "synthfaces", "--task", "fer7", "--figure", tmp_path / "no.png")
    assert refused.code == 2
    assert "has classes, and the figure shows values" in refused.err


def test_joint_counts_are_by_valence_then_arousal():
    values = [[-1.0, 1.0], [-0.9, 0.95], [0.0, 0.0], [1.0, -1.0], [3.0, -2.0]]
    counts = joint_counts(values, (-1.0, 1.0))
    assert counts[0, 4] == 2
    assert counts[2, 2] == 1
    assert counts[4, 0] == 2
    assert counts.sum() == 5
    assert list(joint_lines([], ("valence", "arousal"), (-1.0, 1.0))) == []
