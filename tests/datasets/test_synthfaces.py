from __future__ import annotations

import numpy as np
import pytest

from fer_bench.data.samples import SPLITS
from fer_bench.datasets import synthfaces
from fer_bench.datasets.synthfaces import SynthFacesDataModule, read_synthfaces
from fer_bench.errors import SpecError
from fer_bench.labels import LABEL_SETS
from fer_bench.protocols import PROTOCOLS
from fer_bench.protocols.synthetic import SynthConfig

# Of forty pictures by default, as they were before clips could be longer.
FIVE = {"train": "fb2af717d12048ed", "validation": "27b4437ec06e2e32", "test": "a90ab0ca55dae23a"}


def test_every_label_that_its_protocols_judge(small_synth):
    samples = read_synthfaces(small_synth)
    assert {split: len(samples.where(split)) for split in SPLITS} == {"train": 96, "validation": 32, "test": 40}
    for name in (name for name in LABEL_SETS if f"synthfaces-{name}" in PROTOCOLS):
        labels = samples.targets[name]
        assert labels.shape == (168,)
        # FER7 has no contempt.
        assert labels.min() >= (-1 if name == "fer7" else 0)
        assert labels.max() < len(LABEL_SETS[name])
    assert samples.targets["va"].shape == (168, 2)
    assert np.abs(samples.targets["va"]).max() <= 1
    for mode in ("probability", "cross_entropy"):
        np.testing.assert_allclose(samples.targets[f"fer8:{mode}"].sum(axis=1), 1, rtol=1e-5)
    assert set(np.unique(samples.targets["fer8:multi_target"]).round(4)) == {np.float32(0.001), np.float32(0.999)}
    assert samples.columns["landmarks"].shape == (168, 68, 2)
    assert samples.columns["votes"].shape == (168, 10)


def test_people_never_cross_splits(small_synth):
    samples = read_synthfaces(small_synth)
    owners = [set(samples.groups[samples.where(split)]) for split in SPLITS]
    assert not (owners[0] & owners[1])
    assert not (owners[0] & owners[2])
    assert not (owners[1] & owners[2])


def test_second_open_does_not_draw_again(small_synth, monkeypatch):
    monkeypatch.setattr(synthfaces, "generate", lambda *_: pytest.fail("drawn again"))
    assert read_synthfaces(small_synth).checksums


def test_a_new_version_of_the_drawing_does_not_meet_old_pictures(small_synth, monkeypatch):
    drawn = []
    monkeypatch.setattr(synthfaces, "VERSION", "another")
    monkeypatch.setattr(
        synthfaces, "generate", lambda config: drawn.append(config) or pytest.skip("drawn, as it should")
    )
    read_synthfaces(small_synth)
    pytest.fail("not drawn")


def test_another_seed_is_another_population(own_folders):
    few = {"n_train": 14, "n_validation": 7, "n_test": 7}
    a, b = read_synthfaces(few), read_synthfaces({**few, "seed": 1})
    assert all(a.checksums[split] != b.checksums[split] for split in SPLITS)
    assert (np.asarray(a.images) != np.asarray(b.images)).any()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_trian": 5}, "n_train"),
        ({"n_train": -1}, "train = -1"),
        ({"difficulty": 2}, "difficulty = 2"),
        ({"size": 3}, "size = 3"),
        ({"n_test": "many"}, "n_test"),
        ({"seed": None}, "seed"),
    ],
)
def test_bad_options_are_named(options, expected):
    with pytest.raises(SpecError) as error:
        read_synthfaces(options)
    assert expected in str(error.value)


def test_an_empty_split_is_refused(own_folders):
    from fer_bench.errors import BadDataError

    with pytest.raises(BadDataError, match="test split is empty") as refused:
        SynthFacesDataModule("fer7", options={"n_train": 4, "n_validation": 2, "n_test": 0}).setup()
    assert "n_test" in refused.value.hint


def test_longer_clips_and_video_are_options_that_leave_the_five_frames_as_they_were():
    plain = {"n_train": 20, "n_validation": 10, "n_test": 10}
    assert SynthConfig(**plain).described == (
        "SynthConfig(n_train=20, n_validation=10, n_test=10, size=48, seed=0, difficulty=0.35)"
    )
    assert read_synthfaces({**plain, "frames": 5, "video": 0.0}).checksums == read_synthfaces(plain).checksums == FIVE
    long = read_synthfaces({"n_train": 48, "n_validation": 12, "n_test": 12, "frames": 12})
    train = long.where("train")
    assert long.columns["clip"][train].tolist() == [i // 12 for i in range(48)]
    assert long.columns["frame"][train].tolist() == [i % 12 for i in range(48)]
    assert len(set(long.columns["identity"][train])) == 2
    # Labels move little from frame to frame.
    steps = np.abs(np.diff(long.targets["va"][:12], axis=0)).mean()
    assert steps < 0.5 * np.abs(long.targets["va"][:48:12] - long.targets["va"][:48:12].mean(axis=0)).mean()
    filmed = read_synthfaces({"n_train": 48, "n_validation": 12, "n_test": 12, "frames": 12, "video": 1.0})
    np.testing.assert_array_equal(filmed.targets["va"], long.targets["va"])
    differences = np.abs(np.asarray(filmed.images[:], dtype=float) - np.asarray(long.images[:])).mean(axis=(1, 2))
    # Anew in every frame, and not in all alike.
    assert differences.min() > 0
    assert differences.std() > 1
