"""The network of `what-the-face-classification` on grey faces of 48 px, from 0 to 1 (Image_classifier.predict). Runs in
the environment of fer_bench, whose PyTorch it needs; the weights are loaded as tensors alone.

    python what_the_face.py PACKAGE WEIGHTS FACES ANSWERS HEIGHT WIDTH
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch

BATCH = 256
# Arguments of Image_classifier, as it has them by default.
LAYERS, CHANNELS, KERNELS, PADDING, HIDDEN, LATENT = 3, [[1, 28], [28, 56], [56, 112]], [3, 3, 3], [0, 0, 0], 304, 1792


def main(package: str, weights: str, faces: str, answers: str, height: int, width: int) -> None:
    """Answer all faces."""
    place = Path(package) / "what_the_face_classification" / "model.py"
    spec = importlib.util.spec_from_file_location("model", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.SimpleConvolutionalNetwork(LAYERS, CHANNELS, KERNELS, PADDING, HIDDEN, LATENT)
    network.load_state_dict(torch.load(Path(package) / weights, map_location="cpu", weights_only=True))
    network.eval()
    if (height, width) != (48, 48):
        sys.exit("the network takes faces of 48 px")
    images = torch.from_numpy(np.fromfile(faces, dtype=np.uint8).reshape(-1, 1, height, width)).float() / 255
    with torch.inference_mode():
        outputs = torch.cat([network(images[i : i + BATCH]).softmax(dim=1) for i in range(0, len(images), BATCH)])
    outputs.numpy().astype(np.float32).tofile(answers)


if __name__ == "__main__":
    main(*sys.argv[1:5], *map(int, sys.argv[5:7]))
