"""A TensorFlow Lite network on grey faces, each package's own way of scaling them.

    python tflite_network.py PACKAGE WEIGHTS FACES ANSWERS HEIGHT WIDTH WAY

WAY is `fer` (64 px, -1 to 1: FER.detect_emotions with use_tflite) or `facex` (200 px and three equal channels, 0 to 1:
facex.utils.input_resize).
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from skimage.transform import resize


def as_fer(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8 to (1, 64, 64, 1)."""
    scaled = cv2.resize(image, (64, 64)).astype(np.float32)
    return ((scaled / 255.0 - 0.5) * 2.0)[None, ..., None]


def as_facex(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8 to (1, 200, 200, 3)."""
    return resize(image, (200, 200, 3))[None].astype(np.float32)


def main(package: str, weights: str, faces: str, answers: str, height: int, width: int, way: str) -> None:
    """Answer all faces."""
    interpreter = Interpreter(model_path=str(Path(package) / weights), num_threads=1)
    interpreter.allocate_tensors()
    into, out = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    prepare = {"fer": as_fer, "facex": as_facex}[way]
    outputs = []
    for image in np.fromfile(faces, dtype=np.uint8).reshape(-1, height, width):
        interpreter.set_tensor(into, prepare(image))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(out)[0].copy())
    np.stack(outputs).astype(np.float32).tofile(answers)


if __name__ == "__main__":
    main(*sys.argv[1:5], *map(int, sys.argv[5:7]), sys.argv[7])
