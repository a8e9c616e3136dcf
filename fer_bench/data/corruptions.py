"""Corrupted images: what a camera, a network connection, a mask or a pair of sunglasses does to a face, at five
strengths.

Corruptions and strengths are those of Hendrycks and Dietterich (2019, "Benchmarking neural network robustness to common
corruptions and perturbations", ICLR) where that benchmark has them: blur, noise, brightness, contrast, JPEG, and low
resolution, which is called pixelation there. It was published at two sizes, CIFAR-10-C (32 px) and ImageNet-C (224 px),
with strengths for each (``make_cifar_c.py`` and ``make_imagenet_c.py`` of hendrycks/robustness). A face of another size
gets what is between them, geometrically in its shorter side: at 48 px Gaussian noise has 79 % of its exponent from
CIFAR-10-C's deviation and 21 % from ImageNet-C's. Beyond both sizes widths of blur keep growing with the side, and
everything else stays as it is at the nearer one. As there, strength 1 of defocus hardly changes a small image.

Not in that benchmark are: rotation by 9, 18, 27, 36 or 45 degrees to either side; and a bar in the image's mean colour
over brows and eyes, or over the mouth, as wide as these and 1 to 5 fifths as high.

Everything is computed on 8-bit pixels with OpenCV and NumPy. What is random is drawn for each sample from its id and
the corruption's name: the same for all strengths, whatever else is in its batch, and however many threads or
processes there are.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.data.decoding import resize
from fer_bench.data.samples import Images
from fer_bench.errors import SpecError
from fer_bench.registry import unknown_name
from fer_bench.results.corruptions import N_STRENGTHS, TITLES

Pixels = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float64]
Box = npt.NDArray[np.floating]
_Change = Callable[[Pixels, int, np.random.RandomState], Pixels]

_SMALL, _LARGE = 32, 224
# By strength: of CIFAR-10-C, then of ImageNet-C.
_PUBLISHED: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "gaussian_noise": ((0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)),  # standard deviation
    "shot_noise": ((500, 250, 100, 75, 50), (60, 25, 12, 5, 3)),  # photons of a white pixel
    "impulse_noise": ((0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27)),  # share of pixels
    "gaussian_blur": ((0.4, 0.6, 0.7, 0.8, 1.0), (1, 2, 3, 4, 6)),  # standard deviation in pixels
    "defocus_radius": ((0.3, 0.4, 0.5, 1.0, 1.5), (3, 4, 6, 8, 10)),  # of the disk
    "defocus_smoothing": ((0.4, 0.5, 0.6, 0.2, 0.1), (0.1, 0.5, 0.5, 0.5, 0.5)),  # of its rim, standard deviation
    "motion_radius": ((6, 6, 6, 8, 9), (10, 15, 15, 15, 20)),  # half the length of the trail
    "motion_sigma": ((1, 1.5, 2, 2, 2.5), (3, 5, 8, 12, 15)),  # how it fades
    "brightness": ((0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)),  # added to the value of HSV
    "contrast": ((0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),  # share that is left
    "jpeg": ((80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),  # quality
    "low_resolution": ((0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),  # share of the sides
}
_WIDTHS = frozenset({"gaussian_blur", "defocus_radius", "motion_radius", "motion_sigma"})
_DEGREES_A_STRENGTH = 9.0
_MOTION_DEGREES = 45.0
# What an answer of the trail's fading is worth beyond so many deviations, nobody sees.
_FADED = 3.0
_SUBPIXELS = 9
# What has to know where eyes and mouth are: position of its box among those of a face.
COVERS = {"covered_eyes": 0, "covered_mouth": 1}


def parameter(name: str, strength: int, side: int) -> float:
    """A strength for images of some size.

    Args:
        name: of a published parameter.
        strength: 1 to 5.
        side: the shorter one, in pixels.
    """
    small, large = (float(values[strength - 1]) for values in _PUBLISHED[name])
    share = min(max(math.log(side / _SMALL) / math.log(_LARGE / _SMALL), 0.0), 1.0)
    value = small ** (1 - share) * large**share
    return value * (side / min(max(side, _SMALL), _LARGE) if name in _WIDTHS else 1.0)


def corrupt(image: Pixels, name: str, strength: int, sample: str, box: Box | None = None) -> Pixels:
    """Corrupt an image.

    Args:
        image: uint8, (H, W) grey or (H, W, 3) RGB.
        name: of one of :data:`~fer_bench.results.corruptions.TITLES`.
        strength: 1 to 5.
        sample: id of the sample.
        box: left, top, right and bottom in pixels of what is covered, for those of :data:`COVERS`.

    Returns:
        Another image of that shape.

    Raises:
        UnknownNameError: no such corruption.
        SpecError: no such strength.
    """
    if name not in TITLES:
        raise unknown_name("corruption", name, TITLES)
    if not 1 <= strength <= N_STRENGTHS:
        problem = f"strength {strength} of a corruption is not one of 1 to {N_STRENGTHS}."
        raise SpecError(problem)
    if name in COVERS:
        assert box is not None
        return _covered(image, box, strength / N_STRENGTHS)
    words = np.frombuffer(hashlib.sha256(f"{name}|{sample}".encode("utf-8", "surrogateescape")).digest(), dtype="<u4")
    # NumPy promises that RandomState's streams never change (NEP 19).
    return _CHANGES[name](np.ascontiguousarray(image), strength, np.random.RandomState(words))


class CorruptedImages:
    """Images of a dataset, corrupted one by one when they are asked for.

    Args:
        images: N images at their native size.
        ids: shape (N,).
        name: of the corruption.
        strength: 1 to 5.
        boxes: shape (N, 2, 4), of eyes and mouth in pixels; None where nothing is covered.
        shape: height and width that the corrupted image is resized to; None: it stays as it is.
    """

    def __init__(
        self,
        images: Images,
        ids: npt.NDArray[np.str_],
        name: str,
        strength: int,
        boxes: Box | None = None,
        shape: tuple[int, int] | None = None,
    ) -> None:
        self.images, self.ids, self.name, self.strength, self.boxes, self.shape = (
            images,
            ids,
            name,
            strength,
            boxes,
            shape,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Pixels:
        box = None if self.boxes is None or self.name not in COVERS else self.boxes[index, COVERS[self.name]]
        found = corrupt(np.asarray(self.images[index]), self.name, self.strength, str(self.ids[index]), box)
        if self.shape is None or found.shape[:2] == self.shape:
            return found
        height, width = self.shape
        if height == width:
            return resize(found, height)
        return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _side(image: Pixels) -> int:
    return min(image.shape[:2])


def _pixels(values: Float) -> Pixels:
    return np.asarray(np.rint(np.clip(values, 0.0, 1.0) * 255), dtype=np.uint8)


def _gaussian_noise(image: Pixels, strength: int, draw: np.random.RandomState) -> Pixels:
    return _pixels(
        image / 255 + parameter("gaussian_noise", strength, _side(image)) * draw.standard_normal(image.shape)
    )


def _shot_noise(image: Pixels, strength: int, draw: np.random.RandomState) -> Pixels:
    photons = parameter("shot_noise", strength, _side(image))
    return _pixels(draw.poisson(image / 255 * photons) / photons)


def _impulse_noise(image: Pixels, strength: int, draw: np.random.RandomState) -> Pixels:
    hit = draw.random_sample(image.shape) < parameter("impulse_noise", strength, _side(image))
    return np.where(hit, np.where(draw.random_sample(image.shape) < 0.5, 0, 255), image).astype(np.uint8)


def _gaussian_blur(image: Pixels, strength: int, _: np.random.RandomState) -> Pixels:
    return np.asarray(
        cv2.GaussianBlur(
            image, (0, 0), parameter("gaussian_blur", strength, _side(image)), borderType=cv2.BORDER_REPLICATE
        ),
        dtype=np.uint8,
    )


def _defocus_blur(image: Pixels, strength: int, _: np.random.RandomState) -> Pixels:
    return _filtered(
        image,
        _disk(
            parameter("defocus_radius", strength, _side(image)), parameter("defocus_smoothing", strength, _side(image))
        ),
    )


def _motion_blur(image: Pixels, strength: int, draw: np.random.RandomState) -> Pixels:
    angle = math.radians(draw.uniform(-_MOTION_DEGREES, _MOTION_DEGREES))
    return _filtered(
        image,
        _trail(
            parameter("motion_radius", strength, _side(image)), parameter("motion_sigma", strength, _side(image)), angle
        ),
    )


def _filtered(image: Pixels, kernel: Float) -> Pixels:
    # In double precision: what is left for the processor's own order of sums to change disappears when it is rounded to
    # 8 bits.
    return _pixels(
        np.asarray(cv2.filter2D(image.astype(np.float64) / 255, -1, kernel, borderType=cv2.BORDER_REPLICATE))
    )


@lru_cache(maxsize=64)
def _disk(radius: float, smoothing: float) -> Float:
    """Which share of each pixel a disk covers, smoothed; sums to 1."""
    half = math.ceil(radius + 3 * smoothing)
    fine = (np.arange((2 * half + 1) * _SUBPIXELS) + 0.5) / _SUBPIXELS - half - 0.5
    covered = (fine[:, None] ** 2 + fine[None, :] ** 2 <= radius**2).astype(np.float64)
    disk = covered.reshape(2 * half + 1, _SUBPIXELS, 2 * half + 1, _SUBPIXELS).mean(axis=(1, 3))
    disk = np.asarray(cv2.GaussianBlur(disk, (0, 0), smoothing, borderType=cv2.BORDER_CONSTANT), dtype=np.float64)
    return disk / disk.sum()


def _trail(radius: float, sigma: float, angle: float) -> Float:
    """What a pixel leaves behind it when the camera moves: weights along a line from the centre, fading like a normal
    density.
    """
    length = max(math.ceil(min(2 * radius, _FADED * sigma)), 1)
    at = np.arange(length + 1, dtype=np.float64)
    weights = np.exp(-(at**2) / (2 * sigma**2))
    x, y = at * math.cos(angle) + length, at * math.sin(angle) + length
    kernel = np.zeros((2 * length + 2, 2 * length + 2))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for right, below in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = np.abs(1 - right - (x - left)) * np.abs(1 - below - (y - top))
        np.add.at(kernel, (top + below, left + right), weights * share)
    kernel = kernel[:-1, :-1]
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def _brightness(image: Pixels, strength: int, _: np.random.RandomState) -> Pixels:
    added = parameter("brightness", strength, _side(image))
    if image.ndim == 2:
        return _pixels(image / 255 + added)
    # Hue and saturation stay: every channel grows as the largest one does.
    value = image.max(axis=2, keepdims=True) / 255
    brighter = np.minimum(value + added, 1.0)
    return _pixels(np.where(value > 0, image / 255 * (brighter / np.where(value > 0, value, 1.0)), brighter))


def _contrast(image: Pixels, strength: int, _: np.random.RandomState) -> Pixels:
    values = image / 255
    mean = values.mean(axis=(0, 1), keepdims=True)
    return _pixels((values - mean) * parameter("contrast", strength, _side(image)) + mean)


def _jpeg(image: Pixels, strength: int, _: np.random.RandomState) -> Pixels:
    quality = round(parameter("jpeg", strength, _side(image)))
    in_order = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    stored = cv2.imencode(".jpg", in_order, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    read = cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE if image.ndim == 2 else cv2.IMREAD_COLOR)
    return np.asarray(read if image.ndim == 2 else cv2.cvtColor(read, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _low_resolution(image: Pixels, strength: int, _: np.random.RandomState) -> Pixels:
    height, width = image.shape[:2]
    share = parameter("low_resolution", strength, _side(image))
    small = cv2.resize(image, (max(int(width * share), 1), max(int(height * share), 1)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def _rotation(image: Pixels, strength: int, draw: np.random.RandomState) -> Pixels:
    height, width = image.shape[:2]
    degrees = _DEGREES_A_STRENGTH * strength * (1 if draw.random_sample() < 0.5 else -1)
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return np.asarray(
        cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        dtype=np.uint8,
    )


def _covered(image: Pixels, box: Box, share: float) -> Pixels:
    """A bar over a box' whole width, ``share`` of its height, around its middle."""
    height, width = image.shape[:2]
    left, top, right, bottom = (float(side) for side in box)
    middle, half = (top + bottom) / 2, (bottom - top) * share / 2
    x0, x1 = max(math.floor(left), 0), min(math.ceil(right), width)
    y0, y1 = max(round(middle - half), 0), min(max(round(middle + half), round(middle - half) + 1), height)
    out = image.copy()
    if x0 < x1 and y0 < y1:
        out[y0:y1, x0:x1] = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    return out


_CHANGES: dict[str, _Change] = {
    "gaussian_blur": _gaussian_blur,
    "motion_blur": _motion_blur,
    "defocus_blur": _defocus_blur,
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "brightness": _brightness,
    "contrast": _contrast,
    "jpeg": _jpeg,
    "low_resolution": _low_resolution,
    "rotation": _rotation,
}
