"""synthscenes: the embedded scenes, drawn by the package itself: FindingEmo's tasks with nothing to download."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import SPLITS, Samples, sample_digests, split_checksum
from fer_bench.datasets.findingemo.annotations import AROUSAL3_OF, VALENCE3_OF
from fer_bench.protocols import read_options
from fer_bench.protocols.synthetic import SynthScenesOptions
from fer_bench.synthetic.population import VERSION
from fer_bench.synthetic.scenes import draw_scene, generate_scenes

CROP_SIDE = 48
MOST_FACES = 5
_LABELS = ("emo8", "emo24", "arousal3", "valence3")


class SynthScenesDataModule(AffectDataModule):
    """Drawn scenes in colour, drawn at 400 x 300 and kept at half of that; its options are
    :class:`fer_bench.protocols.synthetic.SynthScenesOptions`.
    """

    dataset = "synthscenes"

    def read(self) -> Samples:
        """Draw the scenes, or open the ones that were drawn before."""
        return read_synthscenes(self.options)


def read_synthscenes(options: dict[str, Any] | None = None) -> Samples:
    """Draw or open the scenes that the options describe.

    Args:
        options: fields of :class:`fer_bench.protocols.synthetic.SynthScenesOptions`.

    Returns:
        Samples with emo8, emo24, arousal3 and valence3, and the columns boxes (N, 5, 4) float32 (left, top, right,
        bottom in pixels of the kept picture; NaN where there is no face), n_faces (N,) and faces (N, 5, 48, 48) uint8,
        grey, cut from the picture as it was drawn: what a detector that misses nothing would find.

    Raises:
        SpecError: an option that does not exist, or is out of range.
    """
    config = read_options(SynthScenesOptions, options or {}, "synthscenes")
    drawn = config.model_dump(exclude={"shrink"})
    key = cache.text_sha256(f"1-{VERSION}-{drawn}-{config.shrink}")
    arrays, facts = cache.cached("synthscenes", key, lambda: _draw(config))
    return Samples(
        ids=np.array([f"{i:05d}" for i in range(len(arrays["split"]))]),
        images=arrays["images"],
        split=np.array(SPLITS)[arrays["split"]],
        targets={name: np.asarray(arrays[name]) for name in _LABELS},
        layout=f"drawn, version {VERSION}",
        columns={name: np.asarray(arrays[name]) for name in ("boxes", "n_faces", "faces")},
        checksums=facts["checksums"],
    )


def _draw(config: SynthScenesOptions) -> tuple[cache.Arrays, dict[str, Any]]:
    scenes = generate_scenes(config)
    n, shrink = len(scenes), config.shrink
    size = (config.width // shrink, config.height // shrink)
    images = np.zeros((n, size[1], size[0], 3), dtype=np.uint8)
    boxes = np.full((n, MOST_FACES, 4), np.nan, dtype=np.float32)
    faces = np.zeros((n, MOST_FACES, CROP_SIDE, CROP_SIDE), dtype=np.uint8)
    counts = np.zeros(n, dtype=np.int64)
    for i in range(n):
        scene = draw_scene(i, config)
        images[i] = scene.image if shrink == 1 else cv2.resize(scene.image, size, interpolation=cv2.INTER_AREA)
        counts[i] = len(scene.boxes)
        boxes[i, : counts[i]] = scene.boxes / shrink
        for k, box in enumerate(scene.boxes):
            faces[i, k] = crop_face(scene.image, box)
    arrays: cache.Arrays = {
        "images": images,
        "boxes": boxes,
        "faces": faces,
        "n_faces": counts,
        "emo8": scenes.emo8,
        "emo24": scenes.emo24,
    }
    arrays["valence3"] = np.array([VALENCE3_OF[int(v)] for v in scenes.valence], dtype=np.int64)
    arrays["arousal3"] = np.array([AROUSAL3_OF[int(a)] for a in scenes.arousal], dtype=np.int64)
    arrays["split"] = np.array([SPLITS.index(str(name)) for name in scenes.split], dtype=np.int8)
    labels = np.stack([arrays[name] for name in _LABELS], axis=1)
    # The id stands in the digest: scenes that change places are another copy.
    numbered = np.concatenate([np.arange(n)[:, None], labels], axis=1)
    checksums = {
        name: split_checksum(sample_digests(images[at], numbered[at]))
        for i, name in enumerate(SPLITS)
        for at in [arrays["split"] == i]
    }
    return arrays, {"checksums": checksums}


def crop_face(
    image: npt.NDArray[np.uint8], box: npt.NDArray[np.float32], side: int = CROP_SIDE
) -> npt.NDArray[np.uint8]:
    """Cut a square around a face, as face datasets do.

    Args:
        image: shape (H, W, 3), RGB.
        box: left, top, right, bottom, in pixels.
        side: of the crop.

    Returns:
        Shape (side, side), grey; what lies outside the picture is its nearest edge.
    """
    half = float(max(box[2] - box[0], box[3] - box[1], 1.0)) / 2
    x, y = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
    scale = 2 * half / side
    place = np.array([[scale, 0, x - half], [0, scale, y - half]], dtype=np.float32)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if scale > 1:
        gray = cv2.GaussianBlur(gray, (0, 0), 0.5 * scale)
    cut = cv2.warpAffine(
        gray, place, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cut, dtype=np.uint8)
