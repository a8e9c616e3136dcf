"""What is known of a network before it is built; torch-free."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelEntry:
    """What is known of a network before it is built.

    Args:
        source: ``own``, ``torchvision``, ``timm`` or ``plugin``.
        builder: name of the function or model in that source; ``module:Class`` for our own.
        image_size: side of the input that it was designed for.
        weights: name of the torchvision weights that ``weights=imagenet`` means.
        about: one line.
        smallest: least side of the input that its pooling leaves something of.
        fixed_size: it takes the size that it was built for and no other (position embeddings, dense layers over
            positions).
        grows: of our own: it bears smaller images than it was built for, while they grow in training.
    """

    source: str
    builder: str
    image_size: int
    weights: str = ""
    about: str = ""
    smallest: int = 1
    fixed_size: bool = False
    grows: bool = False

    def least_side(self, stem: object) -> int:
        """Least side of the input with ``model_options.stem``: a small stem halves less often."""
        return min(self.smallest, 32) if stem == "small" else self.smallest
