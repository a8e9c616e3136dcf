"""KDEF (Lundqvist et al. 1998): 70 people, seven posed expressions, five angles, two sessions.

A name says all: ``AF01ANFL.JPG`` is session A, the woman 01, angry (AF afraid, AN angry, DI disgusted, HA happy, NE
neutral, SA sad, SU surprised), full left profile (FL, HL, S, HR, FR). F01 is one person in both sessions, and M01 is
another. Pictures of 562 x 762 px are cut to their central square. The averaged faces of AKDEF (``FAFFL.JPG``) are left
out. There are no official splits: folds go by person.

Unverified: written from the authors' table of codes, and not yet tried on the pictures themselves.
"""

from __future__ import annotations

import re

import numpy as np

from fer_bench.cross_validation import Folding
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import ATTRIBUTE, Samples
from fer_bench.datasets.named_faces import CODES, find_named
from fer_bench.datasets.pictures import Rows, class_ids, picture_samples
from fer_bench.errors import BadDataError
from fer_bench.labels import FER7
from fer_bench.protocols.kdef import KdefOptions

SIDE = 224
ANGLES = {"all": ("FL", "HL", "S", "HR", "FR"), "half": ("HL", "S", "HR"), "straight": ("S",)}
# Of each angle: 70 people, seven expressions, two sessions.
EACH = 980
_NAME = re.compile(
    r"(?P<id>(?P<session>[AB])(?P<person>(?P<sex>[FM])\d{2})(?P<code>AF|AN|DI|HA|NE|SA|SU)(?P<angle>S|HL|HR|FL|FR))\.\w+",
    re.IGNORECASE,
)


class KdefDataModule(AffectDataModule):
    """KDEF; its options are :class:`fer_bench.protocols.kdef.KdefOptions`."""

    dataset = "kdef"
    default_folding = Folding("identity", 10, 0)

    def read(self) -> Samples:
        """Find the pictures; they are decoded when they are asked for."""
        return read_kdef(self.data_dir, self.chosen(KdefOptions), size=self.image_size or SIDE)


def read_kdef(data_dir: str | None, options: KdefOptions | None = None, *, size: int = SIDE) -> Samples:
    """Read KDEF.

    Args:
        data_dir: the data root or the dataset's folder; None: the usual places.
        options: which angles are read.
        size: side of the images in pixels.

    Returns:
        Samples with ids ``AF01ANFL``, the target ``fer7``, groups = the column identity (``F01``), and the columns
        attribute:angle and attribute:sex. Every sample's split is ``train`` until folds are cut.

    Raises:
        MissingDataError: no picture is called like KDEF's.
        BadDataError: none is of the chosen angles, one is there twice, or more than 1 % of them cannot be read.
    """
    options = options or KdefOptions()
    wanted = ANGLES[options.angles]
    named = find_named("kdef", data_dir, _NAME, ("pictures such as AF01AFS.JPG",))
    kept = [(file, match) for file, match in zip(named.files, named.matches, strict=True) if _angle(match) in wanted]
    if not kept:
        problem = f"{named.root}: none of {len(named.files)} pictures is of the angles {', '.join(wanted)}."
        raise BadDataError(problem, "Unpack all pictures, or choose others: --set dataset_options.angles=all.")
    matches = [match for _, match in kept]
    rows = Rows(
        named.root,
        f"named pictures, angles: {options.angles}",
        [match["id"].upper() for match in matches],
        [file for file, _ in kept],
        {"fer7": class_ids(FER7, [CODES[match["code"].upper()] for match in matches])},
        columns={
            "identity": np.array([match["person"].upper() for match in matches]),
            f"{ATTRIBUTE}angle": np.array([_angle(match) for match in matches]),
            f"{ATTRIBUTE}sex": np.array([match["sex"].upper() for match in matches]),
        },
        groups="identity",
        official={"all": EACH * len(wanted)},
        notes=named.notes,
    )
    return picture_samples("kdef", rows, size, square=True)


def _angle(match: re.Match[str]) -> str:
    return match["angle"].upper()
