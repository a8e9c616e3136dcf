"""A network that Keras has saved as HDF5, on grey faces that are scaled to its size and to -1 to 1, as `fer` does it
(FER.detect_emotions).

    python keras_network.py PACKAGE WEIGHTS FACES ANSWERS HEIGHT WIDTH
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from keras.models import load_model

BATCH = 256


def main(package: str, weights: str, faces: str, answers: str, height: int, width: int) -> None:
    """Answer all faces."""
    network = load_model(Path(package) / weights, compile=False, safe_mode=True)
    size = network.input_shape[1:3]
    images = np.fromfile(faces, dtype=np.uint8).reshape(-1, height, width)
    scaled = np.stack([cv2.resize(image, size) for image in images]).astype(np.float32)
    scaled = (scaled / 255.0 - 0.5) * 2.0
    outputs = [np.asarray(network(scaled[i : i + BATCH, ..., None])) for i in range(0, len(scaled), BATCH)]
    np.concatenate(outputs).astype(np.float32).tofile(answers)


if __name__ == "__main__":
    main(*sys.argv[1:5], *map(int, sys.argv[5:7]))
