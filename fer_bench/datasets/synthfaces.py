"""synthfaces: the embedded dataset, drawn by the package itself, with every label that the suite knows. Nothing is
downloaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import SPLITS, Samples, sample_digests, split_checksum
from fer_bench.datasets.ferplus.votes import process_votes
from fer_bench.protocols import read_options
from fer_bench.protocols.synthetic import SynthConfig
from fer_bench.synthetic.population import VERSION, generate

_LABELS = ("fer7", "fer8", "emo8", "emo24", "arousal3", "valence3")


class SynthFacesDataModule(AffectDataModule):
    """Drawn faces, 48 px, grey; its options are :class:`fer_bench.protocols.synthetic.SynthConfig`."""

    dataset = "synthfaces"

    def read(self) -> Samples:
        """Draw the faces, or open the ones that were drawn before."""
        return read_synthfaces(self.options)


def read_synthfaces(options: dict[str, Any] | None = None) -> Samples:
    """Draw or open the population that the options describe.

    Returns:
        Samples with all class labels, ``va`` (valence and arousal in [-1, 1]), FER+-like distributions
        (``fer8:probability`` etc.), groups = identity, and the columns landmarks (N, 68, 2), clip, frame, identity,
        votes (N, 10).

    Raises:
        SpecError: an option that does not exist, or is out of range.
    """
    config = read_options(SynthConfig, options or {}, "synthfaces")
    key = cache.text_sha256(f"{VERSION}-{config!r}")
    arrays, facts = cache.cached("synthfaces", key, lambda: _draw(config))
    n = len(arrays["split"])
    identity = np.asarray(arrays["identity"])
    targets: dict[str, npt.NDArray[np.generic]] = {name: np.asarray(arrays[name]) for name in _LABELS}
    targets["va"] = np.stack([arrays["valence"], arrays["arousal"]], axis=1).astype(np.float32)
    for mode in ("cross_entropy", "multi_target"):
        targets[f"fer8:{mode}"] = np.asarray(arrays[mode])
    targets["fer8:probability"] = targets["fer8:cross_entropy"]
    columns = {name: np.asarray(arrays[name]) for name in ("landmarks", "clip", "frame", "votes")}
    return Samples(
        ids=np.array([f"{i:05d}" for i in range(n)]),
        images=arrays["images"],
        split=np.array(SPLITS)[arrays["split"]],
        targets=targets,
        layout=f"drawn, version {VERSION}",
        groups=np.array([f"p{i:04d}" for i in identity]),
        columns={**columns, "identity": identity},
        checksums=facts["checksums"],
    )


def _draw(config: SynthConfig) -> tuple[cache.Arrays, dict[str, Any]]:
    faces = generate(config)
    arrays: cache.Arrays = {
        name: getattr(faces, name)
        for name in (*_LABELS, "images", "valence", "arousal", "landmarks", "identity", "clip", "frame", "votes")
    }
    arrays["split"] = np.array([SPLITS.index(str(name)) for name in faces.split], dtype=np.int8)
    for mode in ("cross_entropy", "multi_target"):
        soft = np.stack([process_votes(row, mode) for row in faces.votes])
        # Where the drawn taggers agree on nothing, the label that was drawn stands.
        soft[soft.sum(axis=1) == 0] = np.eye(soft.shape[1])[faces.fer8[soft.sum(axis=1) == 0]]
        arrays[mode] = (np.clip(soft > 0, 0.001, 0.999) if mode == "multi_target" else soft).astype(np.float32)
    checksums = {}
    for i, name in enumerate(SPLITS):
        at = arrays["split"] == i
        checksums[name] = split_checksum(sample_digests(faces.images[at], faces.fer8[at]))
    return arrays, {"checksums": checksums}
