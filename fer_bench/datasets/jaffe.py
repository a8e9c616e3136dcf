"""JAFFE (Lyons et al. 1998): 213 grey pictures of ten women, seven posed expressions.

A name says all: ``KA.AN1.39.tiff`` is person KA, angry (AN, DI, FE, HA, NE, SA, SU), her first such picture, number 39.
The folders around it mean nothing. There are no official splits: folds go by person.

Circulated copies that were converted have the suffix twice, ``KA.AN1.39.tiff.bmp``.

Unverified: written from names that public programs quote, and not yet tried on the pictures themselves.
"""

from __future__ import annotations

import re

import numpy as np

from fer_bench.cross_validation import Folding
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import Samples
from fer_bench.datasets.named_faces import CODES, find_named
from fer_bench.datasets.pictures import Rows, class_ids, picture_samples
from fer_bench.labels import FER7
from fer_bench.protocols.jaffe import JaffeOptions

SIDE = 256
OFFICIAL = {"all": 213}
_NAME = re.compile(
    r"(?P<id>(?P<person>[A-Z]{2})\.(?P<code>AN|DI|FE|HA|NE|SA|SU)\d\.\d+)(?:\.tiff?)?\.\w+", re.IGNORECASE
)


class JaffeDataModule(AffectDataModule):
    """JAFFE; it has no options of its own, see :class:`fer_bench.protocols.jaffe.JaffeOptions`."""

    dataset = "jaffe"
    default_folding = Folding("identity", 10, 0)

    def read(self) -> Samples:
        """Find the pictures; they are decoded when they are asked for."""
        self.chosen(JaffeOptions)
        return read_jaffe(self.data_dir, size=self.image_size or SIDE)


def read_jaffe(data_dir: str | None, *, size: int = SIDE) -> Samples:
    """Read JAFFE.

    Args:
        data_dir: the data root or the dataset's folder; None: the usual places.
        size: side of the images in pixels.

    Returns:
        Samples with ids ``KA.AN1.39``, the target ``fer7``, and groups = the column identity. Every sample's split is
        ``train`` until folds are cut.

    Raises:
        MissingDataError: no picture is called like JAFFE's.
        BadDataError: a picture is there twice, or more than 1 % of them cannot be read.
    """
    named = find_named("jaffe", data_dir, _NAME, ("pictures such as KA.AN1.39.tiff",))
    rows = Rows(
        named.root,
        "named pictures",
        [match["id"].upper() for match in named.matches],
        named.files,
        {"fer7": class_ids(FER7, [CODES[match["code"].upper()] for match in named.matches])},
        columns={"identity": np.array([match["person"].upper() for match in named.matches])},
        groups="identity",
        official=OFFICIAL,
        notes=named.notes,
    )
    return picture_samples("jaffe", rows, size)
