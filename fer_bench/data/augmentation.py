"""Augmentations by name, as albumentations pipelines over uint8 images; the one module that knows albumentations."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench import plugins
from fer_bench.errors import MissingPackageError, PluginError, SpecError
from fer_bench.registry import Registry, unknown_name

AUGMENTATIONS: Registry[dict[str, Any]] = Registry("augmentation")
# Settings of `affine_flip`, by name. Angles in degrees, shifts as shares of the side, scale as the largest relative
# change.
AUGMENTATIONS.add("none", {})
AUGMENTATIONS.add("flip", {"flip": 0.5})
AUGMENTATIONS.add("standard", {"flip": 0.5, "rotate": 15.0, "shift": 0.1, "scale": 0.1})
AUGMENTATIONS.add(
    "five_layer_cnn_report", {"flip": 0.5, "rotate": 10.0, "shift": 0.1, "scale": 0.1, "shear": 0.1 * 57.29578}
)
AUGMENTATIONS.add("cnn_ensembles_paper", {"flip": 0.5, "rotate": 45.0, "border": 0.0})
AUGMENTATIONS.add("affectnet_paper", {"flip": 0.5, "rotate": 10.0, "shear": 0.1 * 57.29578})
AUGMENTATIONS.add(
    "strong", {"flip": 0.5, "rotate": 20.0, "shift": 0.12, "scale": 0.15, "brightness": 0.3, "erase": 0.3}
)
# RandAugment of faces, batch by batch only (augment_on: device).
AUGMENTATIONS.add("rand_faces", {"flip": 0.5, "operations": 2.0, "magnitude": 0.5})
AUGMENTATIONS.add("rand_faces_strong", {"flip": 0.5, "operations": 3.0, "magnitude": 0.7, "erase": 0.3})

# Options and their largest values; the least is 0.
_KEYS = {
    "flip": 1.0,
    "rotate": 180.0,
    "shift": 1.0,
    "scale": 0.95,
    "shear": 89.0,
    "brightness": 1.0,
    "erase": 1.0,
    "border": 1.0,
    "operations": 9.0,
    "magnitude": 1.0,
}
# Options that change nothing by themselves.
_ALONE_NOTHING = ("border", "magnitude")
# Where a plugin's function is in the settings that it has; no option can be called so.
_FUNCTION = "change()"


class Augmenter:
    """Applies a named augmentation to single images, from a seed that is set for every batch.

    Args:
        name: a registered augmentation.
        options: settings that replace the named ones: ``flip`` (probability), ``rotate`` and ``shear`` (degrees),
            ``shift`` (share of the side), ``scale`` (relative), ``brightness`` (brightness and contrast, relative),
            ``erase`` (probability of a blanked rectangle), ``border`` (0: black outside the image; 1, the default: the
            nearest pixel), ``operations`` and ``magnitude`` (RandAugment, see :mod:`fer_bench.data.rand_augment`; batch
            by batch only).

    Raises:
        UnknownNameError: no such augmentation.
        SpecError: no such option, a value out of range, or an augmentation of batches.
        MissingPackageError: albumentations is not installed.
    """

    def __init__(self, name: str, options: Mapping[str, Any] | None = None) -> None:
        settings = settings_of(name, options)
        if settings.get("operations"):
            problem = f"augment = {name!r} with operations (RandAugment) changes whole batches, not images one by one."
            raise SpecError(problem, "Use --set augment_on=device, which works on every device and is faster.")
        self._pipeline = None if changes_nothing(settings) else _compose(settings)

    @property
    def is_identity(self) -> bool:
        """Whether images come out as they went in."""
        return self._pipeline is None

    def seed(self, seed: int) -> None:
        """Start the random numbers of the next images anew."""
        if self._pipeline is not None:
            self._pipeline.set_random_seed(seed)

    def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Augment one image, uint8, (H, W) or (H, W, 3)."""
        if self._pipeline is None:
            return image
        result: npt.NDArray[np.uint8] = self._pipeline(image=image)["image"]
        return result


def settings_of(name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings of a named augmentation, overridden by ``options``.

    Raises:
        UnknownNameError: no such augmentation.
        SpecError: no such option, or a value out of range.
        PluginError: a plugin cannot be imported, or does not give images.
    """
    found = _named(name)
    if callable(found):
        return _options_of(found, name, options or {})
    settings = {**found, **(options or {})}
    for key, value in settings.items():
        if key not in _KEYS:
            problem = f"augment_options.{key}: there is no such option."
            raise SpecError(problem, f"Options: {', '.join(_KEYS)}.")
        if not isinstance(value, int | float) or not 0 <= value <= _KEYS[key]:
            problem = f"augment_options.{key} = {value!r}: must be a number from 0 to {_KEYS[key]:g}."
            raise SpecError(problem, "Correct the value.")
    if settings.get("operations", 0) != int(settings.get("operations", 0)):
        problem = (
            f"augment_options.operations = {settings['operations']!r}: the number of operations is not an integer."
        )
        raise SpecError(problem, "Correct the value.")
    return settings


def is_function(name: str) -> bool:
    """Whether an augmentation is a plugin's function of one image."""
    return name not in AUGMENTATIONS and callable(_named(name))


def _named(name: str) -> Any:
    """Settings of a named augmentation, or a plugin's function."""
    if name in AUGMENTATIONS:
        return AUGMENTATIONS[name]
    plugin = plugins.find("augment", name)
    if plugin is None:
        kind = "augmentation"
        raise unknown_name(kind, name, plugins.known("augment", AUGMENTATIONS))
    found = plugin.load()
    if not callable(found) and not isinstance(found, Mapping):
        problem = f"{plugin.described}: {plugin.reference} is a {type(found).__name__}."
        raise PluginError(
            problem,
            "Name a function called as change(image, rng, **augment_options), or a mapping of settings such as {'flip':"
            " 0.5}.",
        )
    return found


def _options_of(function: Callable[..., Any], name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A plugin's function and its options as settings, tried on a grey and an RGB image."""
    settings = {_FUNCTION: function, **options}
    for shape in ((48, 48), (48, 48, 3)):
        image = np.arange(np.prod(shape), dtype=np.uint64).astype(np.uint8).reshape(shape)
        try:
            changed = function(image, np.random.default_rng(0), **options)
        except Exception as error:  # functions raise whatever they are made to
            detail = next(iter(str(error).splitlines()), "") or "no detail"
            problem = (
                f"augment {name!r} fails on an image of shape {shape} ({type(error).__name__}:"
                f" {detail[:160].rstrip('.')})."
            )
            raise PluginError(problem, "It is called as change(image, rng, **augment_options).") from None
        if not isinstance(changed, np.ndarray) or changed.dtype != np.uint8 or changed.shape != shape:
            found = (
                f"shape {changed.shape} and type {changed.dtype}"
                if isinstance(changed, np.ndarray)
                else f"a {type(changed).__name__}"
            )
            problem = f"augment {name!r} makes {found} of a uint8 image of shape {shape}."
            raise PluginError(problem, "Return a uint8 image of the same shape.")
    return settings


class _Function:
    """A plugin's function, in the place of a pipeline of albumentations."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self._function, self._options = function, dict(options)
        self._rng = np.random.default_rng(0)

    def set_random_seed(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, image: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.uint8]]:
        return {"image": self._function(image, self._rng, **self._options)}


def changes_nothing(settings: Mapping[str, Any]) -> bool:
    """Whether images come out of an augmentation as they went in: a border alone moves nothing, nor do operations
    without a magnitude.
    """
    effective = {**settings, "operations": settings.get("operations") and settings.get("magnitude")}
    return not any(value for key, value in effective.items() if key not in _ALONE_NOTHING)


def _compose(settings: Mapping[str, Any]) -> Any:
    if _FUNCTION in settings:
        return _Function(settings[_FUNCTION], {key: value for key, value in settings.items() if key != _FUNCTION})
    # The package looks for a newer version of itself at import, over the network.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        import albumentations as A
    except ImportError:
        problem = "augment_on = 'loader' needs the package albumentations."
        raise MissingPackageError(
            problem,
            "Install it (pip install 'fer_bench[train]'), or do without: --augment-on device makes the same changes"
            " batch by batch, as a run of its own.",
        ) from None
    steps: list[Any] = []
    if flip := settings.get("flip"):
        steps.append(A.HorizontalFlip(p=float(flip)))
    rotate, shift, scale, shear = (float(settings.get(key) or 0) for key in ("rotate", "shift", "scale", "shear"))
    if rotate or shift or scale or shear:
        border = cv2.BORDER_REPLICATE if settings.get("border", 1) else cv2.BORDER_CONSTANT
        steps.append(
            A.Affine(
                scale=(1 - scale, 1 + scale),
                translate_percent={"x": (-shift, shift), "y": (-shift, shift)},
                rotate=(-rotate, rotate),
                shear={"x": (-shear, shear), "y": (0, 0)},
                border_mode=border,
                p=1.0,
            )
        )
    if brightness := float(settings.get("brightness") or 0):
        steps.append(A.RandomBrightnessContrast(brightness_limit=brightness, contrast_limit=brightness, p=0.5))
    if erase := float(settings.get("erase") or 0):
        steps.append(
            A.CoarseDropout(
                num_holes_range=(1, 1),
                hole_height_range=(0.1, 0.35),
                hole_width_range=(0.1, 0.35),
                fill="random_uniform",
                p=erase,
            )
        )
    return A.Compose(steps)
