"""A copy of FindingEmo reduced to the images of a manifest, so that rows on two copies are of the same images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fer_bench.data import cache
from fer_bench.data.samples import Samples
from fer_bench.datasets.findingemo.manifest import Kept, content_of, manifest_digest, read_manifest
from fer_bench.datasets.findingemo.reader import FindingEmoIndex, manifest_hash
from fer_bench.errors import MissingDataError


@dataclass(frozen=True)
class Subset:
    """The images of a manifest.

    Args:
        path: of the manifest.
        kept: image id to entry.
    """

    path: Path
    kept: Mapping[str, Kept]

    @classmethod
    def read(cls, path: Path) -> Subset:
        """Read a manifest; raises as :func:`~fer_bench.datasets.findingemo.manifest.read_manifest`."""
        return cls(path, read_manifest(path))

    def of(self, index: FindingEmoIndex) -> FindingEmoIndex:
        """What of a copy is in the manifest.

        Raises:
            MissingDataError: an annotated image of the manifest is not there.
        """
        absent = [name for name in index.missing if name in self.kept]
        samples = tuple(sample for sample in index.samples if sample.id in self.kept)
        if absent or not samples:
            first = absent[0] if absent else next(iter(self.kept))
            problem = f"{self.path}: {len(absent) or len(self.kept)} of its images are not there, first {first!r}."
            raise MissingDataError(
                problem,
                f"`fer-bench download findingemo --manifest {self.path}` fetches them, and writes a manifest of those"
                " that still can be had.",
            )
        coverage = replace(
            index.coverage,
            matched=len(samples),
            manifest=manifest_hash((sample.id, sample.size) for sample in samples),
        )
        return replace(index, samples=samples, coverage=coverage)

    def state(self, samples: Samples, index: FindingEmoIndex, root: Path) -> None:
        """Add what a record says of the subset: the manifest's digest, and how many images differ from it."""
        paths = [root / sample.path for sample in index.samples]
        listing = cache.listing_sha256(root, paths)
        arrays, _ = cache.cached(
            "findingemo-content",
            cache.text_sha256(f"1-{listing}"),
            lambda: ({"sha256": np.array([content_of(path)[1] for path in paths])}, {}),
        )
        pairs = zip(index.samples, arrays["sha256"].tolist(), strict=True)
        differ = sum(self.kept[sample.id].sha256 != found for sample, found in pairs)
        samples.facts["manifest"] = {
            "digest": manifest_digest(self.kept),
            "images": len(self.kept),
            "differ": differ,
        }
        samples.notes.append(
            f"the {len(index.samples)} annotated images of {self.path.name},"
            f" {f'{differ} of them with another content' if differ else 'all with the same content'}"
        )
