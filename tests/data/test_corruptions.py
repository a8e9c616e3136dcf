"""Corruptions: the published strengths, the same pixels anywhere, stronger is stronger; eyes and mouth where they
are."""

import pickle

import numpy as np
import pytest

from fer_bench.data.corruptions import COVERS, CorruptedImages, corrupt, parameter
from fer_bench.data.samples import Samples
from fer_bench.datasets.synthfaces import read_synthfaces
from fer_bench.errors import SpecError, UnknownNameError
from fer_bench.faces.layout import find_parts, parts_of, standard_parts
from fer_bench.results.corruptions import TITLES
from tests.fakes import smooth_images

BOX = np.array([8.0, 10.0, 40.0, 20.0])
FACES = smooth_images(3)


def changed(name, strength, image, sample="a"):
    return corrupt(image, name, strength, sample, BOX if name in COVERS else None)


@pytest.mark.parametrize("name", TITLES)
@pytest.mark.parametrize("colour", [False, True])
def test_a_stronger_corruption_changes_more(name, colour):
    # Fine detail, so that a blur has something to take away.
    grain = np.random.default_rng(0).integers(0, 60, FACES[0].shape)
    image = (FACES[0] // 2 + 40 + grain).astype(np.uint8)
    image = np.stack([image, image // 2, 255 - image], axis=2) if colour else image
    before = image.copy()
    found = [changed(name, strength, image) for strength in range(1, 6)]
    assert all(one.shape == image.shape and one.dtype == np.uint8 for one in found)
    np.testing.assert_array_equal(image, before)
    distances = [np.abs(one.astype(float) - image).mean() for one in found]
    assert distances[1] > 0
    assert distances[4] > distances[0]


@pytest.mark.parametrize("name", TITLES)
def test_what_is_random_hangs_on_the_sample_alone(name):
    ids = np.array(["a", "b", "c"])
    boxes = np.broadcast_to(BOX, (3, 2, 4))
    images = CorruptedImages(FACES, ids, name, 3, boxes)
    forwards, backwards = [images[i] for i in (0, 1, 2)], [images[i] for i in (2, 1, 0)][::-1]
    np.testing.assert_array_equal(forwards, backwards)
    again = pickle.loads(pickle.dumps(CorruptedImages(FACES[1:2], ids[1:2], name, 3, boxes[1:2])))
    np.testing.assert_array_equal(again[0], forwards[1])


def test_two_samples_get_other_noise():
    one, other = (changed("gaussian_noise", 2, FACES[0], sample).astype(int) for sample in "ab")
    assert (one != other).mean() > 0.5


def test_noise_of_a_seed_is_always_the_same():
    grey = np.full((4, 4), 128, dtype=np.uint8)
    assert corrupt(grey, "gaussian_noise", 3, "00017").tolist() == [
        [131, 129, 132, 131],
        [109, 113, 111, 142],
        [131, 124, 126, 113],
        [142, 161, 132, 115],
    ]


def test_strengths_are_the_published_ones_at_their_sizes_and_between_them_elsewhere():
    assert [parameter("gaussian_noise", s, 32) for s in range(1, 6)] == pytest.approx([0.04, 0.06, 0.08, 0.09, 0.10])
    assert [parameter("gaussian_noise", s, 224) for s in range(1, 6)] == pytest.approx([0.08, 0.12, 0.18, 0.26, 0.38])
    assert parameter("gaussian_noise", 1, 48) == pytest.approx(0.04**0.7916 * 0.08**0.2084, rel=1e-3)
    assert parameter("gaussian_blur", 3, 448) == pytest.approx(6.0), "widths go on with the side"
    assert parameter("contrast", 3, 448) == pytest.approx(0.2)
    assert parameter("gaussian_blur", 5, 16) == pytest.approx(0.5)


def test_a_corrupted_image_is_brought_to_the_size_of_the_network():
    images = CorruptedImages(FACES, np.array(["a", "b", "c"]), "brightness", 1, shape=(32, 32))
    assert images[0].shape == (32, 32)


def test_names_and_strengths_that_do_not_exist_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'gaussian_blur'"):
        corrupt(FACES[0], "gausian_blur", 1, "a")
    with pytest.raises(SpecError, match="strength 6"):
        corrupt(FACES[0], "jpeg", 6, "a")


def test_the_standard_place_is_where_drawn_faces_have_eyes_and_mouth(small_synth):
    samples = read_synthfaces(small_synth)
    test = samples.select(samples.split == "test")
    found = find_parts(test, "synthfaces", {})
    assert found.facts == {"landmarks of the dataset": len(test), "standard place": 0}
    standard = standard_parts("synthfaces", {}, 48, 48)
    assert standard[0, 3] < standard[1, 1], "the eyes are above the mouth"
    assert np.abs(np.median(found.boxes, axis=0) - standard).max() < 5, "in pixels of 48"
    points = np.asarray(test.columns["landmarks"])
    boxes = parts_of(points)
    assert (boxes[:, 1, 0] < points[:, 48, 0]).all()
    assert (boxes[:, 1, 2] > points[:, 54, 0]).all()


def test_without_the_landmarker_the_standard_place_is_taken_and_said(monkeypatch, tmp_path):
    monkeypatch.setenv("FER_BENCH_LANDMARKER", str(tmp_path / "none.task"))
    samples = Samples(np.array(["a", "b", "c"]), FACES, np.array(["test"] * 3), {}, "fake")
    found = find_parts(samples, "fer2013", {})
    assert found.facts["standard place"] == 3
    assert "none.task" in found.facts["why"]
    assert str(tmp_path) not in found.facts["why"], "what is stored may be published"
    np.testing.assert_allclose(found.boxes[1], standard_parts("fer2013", {}, 48, 48))
