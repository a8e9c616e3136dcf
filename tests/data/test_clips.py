"""Clips as batches: whole, in the order of time, without padding, and augmented alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fer_bench.data.clips import clips_of, pieces
from fer_bench.data.samples import Samples
from fer_bench.datasets.synthfaces import SynthFacesDataModule
from fer_bench.errors import BadDataError, SpecError


def samples_of(clip, frame, split=None):
    n = len(clip)
    columns = {"clip": np.array(clip), "frame": np.array(frame)}
    ids, splits = np.array([str(i) for i in range(n)]), np.array(split or ["train"] * n)
    return Samples(ids, np.zeros((n, 4, 4), np.uint8), splits, {}, "toy", columns=columns)


def test_frames_are_in_the_order_of_time_however_they_are_stored():
    samples = samples_of(["b", "a", "b", "a", "b", "c"], [2, 7, 0, 3, 1, 0], ["train"] * 5 + ["test"])
    assert [clip.tolist() for clip in clips_of(samples, "train", "toy")] == [[2, 4, 0], [3, 1]]
    assert [clip.tolist() for clip in clips_of(samples, "test", "toy")] == [[0]]


def test_long_clips_are_cut_into_pieces_that_hold_every_frame():
    clips = [np.arange(10), np.arange(10, 13)]
    cut = pieces(clips, 4)
    assert [piece.tolist() for piece in cut] == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9], [10, 11, 12]]
    assert pieces(clips, 0) == clips
    assert {int(i) for piece in pieces([np.arange(101)], 8) for i in piece} == set(range(101))


def test_a_dataset_without_clips_says_so():
    samples = samples_of([0, 0], [0, 1])
    del samples.columns["frame"]
    with pytest.raises(SpecError, match="'toy' has no clips: its samples do not have frame"):
        clips_of(samples, "train", "toy")


@pytest.mark.parametrize(("clips", "frames"), [(["a", "a"], [0, np.nan]), (["a", " "], [0, 1])])
def test_a_sample_without_its_place_in_a_clip_is_not_put_somewhere(clips, frames):
    with pytest.raises(BadDataError, match="1 samples of train do not say their clip or their place"):
        clips_of(samples_of(clips, frames), "train", "toy")


def test_columns_of_a_table_say_it_too():
    samples = samples_of(["b", "b"], ["0010", "0009"])
    samples.columns = {f"attribute:{name}": column for name, column in samples.columns.items()}
    assert [clip.tolist() for clip in clips_of(samples, "train", "toy")] == [[1, 0]]
    samples.columns["attribute:frame"] = np.array(["first", "second"])
    with pytest.raises(BadDataError, match="not a number"):
        clips_of(samples, "train", "toy")


@pytest.fixture
def module():
    options = {"n_train": 24, "n_validation": 12, "n_test": 12, "frames": 6}
    made = SynthFacesDataModule(
        "va", batch_size=2, augment="standard", augment_on="device", options=options, eval_batch_size=8
    )
    made.clip_frames = 4
    return made


def test_batches_hold_pieces_in_training_and_whole_clips_in_tests(module):
    batches = list(module.train_dataloader())
    assert [batch["lengths"].tolist() for batch in batches] == [[4, 4]] * 4
    for batch in batches:
        assert len(batch["image"]) == len(batch["target"]) == len(batch["index"]) == batch["lengths"].sum()
        assert all((part.diff() == 1).all() for part in batch["index"].split(batch["lengths"].tolist()))
        # One change for all frames of a clip, another for the next.
        drawn = list(batch["drawn"].split(batch["lengths"].tolist()))
        assert all((part == part[0]).all() for part in drawn)
        assert not torch.equal(drawn[0][0], drawn[1][0])
    (whole,) = module.predict_loader("test")
    assert whole["lengths"].tolist() == [6, 6]
    assert (module.items("train"), module.items("test")) == (8, 2)


def test_known_features_take_the_place_of_images(module):
    module.features = np.arange(48, dtype=np.float32)[:, None] * np.ones(3, dtype=np.float32)
    (batch,) = module.predict_loader("validation")
    assert batch["image"].tolist() == [[24.0 + i] * 3 for i in range(12)]


def test_albumentations_change_all_frames_of_a_clip_alike(module):
    settings = {"augment": "standard", "augment_on": "loader", "batch_size": 2}
    loader = SynthFacesDataModule("va", options=module.options, **settings)
    loader.clip_frames = 0
    samples = loader.read_samples
    # The same picture everywhere: frames of a clip stay equal, those of two clips do not.
    loader.samples = samples.select(np.zeros(48, dtype=np.int64))
    loader.samples.split, loader.samples.columns["clip"] = samples.split, samples.columns["clip"]
    loader.samples.columns["frame"] = samples.columns["frame"]
    batch = next(iter(loader.train_dataloader()))
    first, second = batch["image"].split(batch["lengths"].tolist())
    assert (first == first[0]).all()
    assert not torch.equal(first[0], second[0])
