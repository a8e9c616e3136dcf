"""Noise."""

import numpy as np


def speckle(image: np.ndarray, rng: np.random.Generator, strength: float = 8.0) -> np.ndarray:
    noise = rng.normal(0, strength, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)
