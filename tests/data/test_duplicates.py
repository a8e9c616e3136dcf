from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_bench.data import duplicates
from fer_bench.data.duplicates import find_duplicates, flag_duplicates
from fer_bench.data.samples import Samples
from fer_bench.datasets.fer2013.module import read_fer2013
from tests.fakes import make_faces, smooth_images, write_csv

N_TRAIN, N_VALIDATION, N_TEST = 300, 60, 80


@pytest.fixture
def population():
    images = smooth_images(N_TRAIN + N_VALIDATION + N_TEST)
    split = np.repeat(["train", "validation", "test"], [N_TRAIN, N_VALIDATION, N_TEST])
    return images, split, N_TRAIN + N_VALIDATION


def noisy(image):
    return np.clip(image + np.random.default_rng(1).normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def compressed(image):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE)


def stretched(image):
    return np.clip(image * 0.7 + 40, 0, 255).astype(np.uint8)


def watermarked(image):
    marked = image.copy()
    marked[45:47, 30:44] = 255
    return marked


def mirrored(image):
    return np.ascontiguousarray(image[:, ::-1])


def test_faces_that_only_resemble_each_other_are_no_duplicates(population):
    images, split, _ = population
    assert len(find_duplicates(images, split).test) == 0


@pytest.mark.parametrize("source", [5, N_TRAIN + 3], ids=["train", "validation"])
def test_a_planted_copy_is_exact(population, source):
    images, split, test = population
    images[test + 7] = images[source]
    found = find_duplicates(images, split)
    assert found.test.tolist() == [test + 7]
    assert found.other.tolist() == [source]
    assert found.exact.tolist() == [True]
    assert found.correlation.tolist() == [1.0]


@pytest.mark.parametrize(
    "change", [mirrored, noisy, compressed, stretched, watermarked, lambda image: noisy(mirrored(image))]
)
def test_a_changed_copy_is_near_and_names_its_source(population, change):
    images, split, test = population
    images[test + 7] = change(images[11])
    found = find_duplicates(images, split)
    assert found.test.tolist() == [test + 7]
    assert found.other.tolist() == [11]
    assert found.exact.tolist() == [False]
    assert found.correlation[0] >= duplicates.NEAR


def test_one_changed_pixel_is_not_exact(population):
    images, split, test = population
    images[test] = images[0]
    images[test, 0, 0] ^= 1
    assert find_duplicates(images, split).exact.tolist() == [False]


def test_copies_within_one_split_do_not_count(population):
    images, split, test = population
    images[test + 1] = images[test]
    images[1] = images[0]
    images[N_TRAIN] = images[0]
    assert len(find_duplicates(images, split).test) == 0


def test_blank_images_are_near_nothing(population):
    images, split, test = population
    images[0], images[test] = 0, 17
    images[1], images[test + 1] = 200, 200
    found = find_duplicates(images, split)
    assert found.test.tolist() == [test + 1]
    assert found.exact.tolist() == [True]


def test_blocks_do_not_change_what_is_found(population, monkeypatch):
    images, split, test = population
    for i in range(10):
        images[test + 7 * i] = noisy(images[i])
    whole = find_duplicates(images, split)
    monkeypatch.setattr(duplicates, "_BLOCK", 9)
    parts = find_duplicates(images, split)
    assert len(whole.test) == 10
    assert whole.test.tolist() == parts.test.tolist()
    assert whole.other.tolist() == parts.other.tolist()


def test_colour_images(population):
    images, split, test = population
    colour = np.stack([images, images // 2, 255 - images // 3], axis=3)
    colour[test] = colour[4][:, ::-1]
    assert find_duplicates(colour, split).other.tolist() == [4]


def test_flags_are_computed_once_per_source(tmp_path, monkeypatch):
    faces = make_faces()
    test = int(np.flatnonzero(faces.usage == "PrivateTest")[2])
    faces.images[test] = faces.images[0]
    write_csv(tmp_path, faces)
    samples = read_fer2013(str(tmp_path))
    flag_duplicates(samples)
    assert np.flatnonzero(samples.columns["duplicate"]).tolist() == [test]
    monkeypatch.setattr(duplicates, "find_duplicates", lambda *_: pytest.fail("searched again"))
    again = read_fer2013(str(tmp_path))
    flag_duplicates(again)
    assert again.columns["duplicate"].tolist() == samples.columns["duplicate"].tolist()


def test_samples_without_a_key_are_not_flagged():
    images = smooth_images(4)
    samples = Samples(np.array(list("abcd")), images, np.array(["train", "train", "test", "test"]), {}, "in memory")
    flag_duplicates(samples)
    assert "duplicate" not in samples.columns


@pytest.mark.parametrize("seed", range(5))
def test_faces_of_fer2013_are_shrunk_as_opencv_does(seed):
    image = np.random.default_rng(seed).integers(0, 256, size=(48, 48), dtype=np.uint8)
    expected = cv2.resize(image, (24, 24), interpolation=cv2.INTER_AREA)
    assert np.array_equal(duplicates._shrunk(image), expected)
