"""muxspace/facial_expressions: 13,690 rows of ``data/legend.csv`` (``user.id,image,emotion``) on photographs in
``images``.

Labels are written in mixed case, eight photographs are listed twice, and rows that contradict each other are left out.
The file is a table as :mod:`fer_bench.datasets.table` reads any; what is added are people: the name of a file begins
with a name (``George_W_Bush_0012.jpg``), and splits keep those together.
"""

from __future__ import annotations

from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import Samples
from fer_bench.datasets.table.file import read_table
from fer_bench.datasets.table.image_paths import roots
from fer_bench.datasets.table.module import read_images
from fer_bench.protocols import PROTOCOLS
from fer_bench.protocols.muxspace import MuxspaceOptions

# Photographs are of many sizes, most of them 350 px.
SIDE = 96
LEGENDS = ("data/legend.csv", "legend.csv")
# Without the number of the photograph, and what some agencies put behind theirs.
PERSON = r"^(?:.*/)?(.+?)[_-]?\d*[a-z]?\.\w+$"


class MuxspaceDataModule(AffectDataModule):
    """muxspace's faces; its options are :class:`fer_bench.protocols.muxspace.MuxspaceOptions`."""

    dataset = "muxspace"

    def read(self) -> Samples:
        """Read the legend and its photographs.

        Raises:
            MissingDataError: they are not there.
            BadDataError: a label that is none, or more than 1 % of the photographs cannot be used.
        """
        options = self.chosen(MuxspaceOptions)
        places = cache.candidates("muxspace", self.data_dir)
        file = next((path for place in places for name in LEGENDS if (path := place / name).is_file()), None)
        if file is None:
            raise cache.missing("muxspace", LEGENDS[:1], places)
        columns = {"image": "image", "label": "emotion", "identity": PERSON}
        return read_images(
            "muxspace",
            read_table(file, columns),
            PROTOCOLS["muxspace-fer8"],
            roots(file, None, None),
            columns,
            (options.validation, options.test),
            side=self.image_size or SIDE,
            gray={1: True, 3: False}.get(self.channels or 0),
            folds=self.folding is not None,
        )
