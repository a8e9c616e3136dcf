"""What users bring without code: class folders, and a table of images and labels."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DecodingOptions

_PATTERN = "a regular expression, whose first group in a path is meant"


class _Options(DecodingOptions):
    classes: Any = Field(
        None, description="the classes, as a list or as a mapping from folders to classes, where no built-in set fits"
    )
    validation: float = Field(0.1, gt=0, lt=1, description="the share to hold out for validation, such as 0.1")
    test: float = Field(0.2, gt=0, lt=1, description="the share to hold out for the test, such as 0.2")


class FolderOptions(_Options):
    """What ``dataset_options`` may hold for class folders."""

    identity: str = Field("", description=f"{_PATTERN} as the person")


class TableOptions(_Options):
    """What ``dataset_options`` may hold for a table; columns are called by their names, or by their numbers from 1."""

    identity: str | int = Field("", description=f"the column of people, or {_PATTERN} as the person")
    images: str | None = Field(None, description="the folder that the paths of images are relative to")
    image: str | int | None = Field(None, description="the column of images")
    label: str | int | None = Field(None, description="the column of labels")
    valence: str | int | None = Field(None, description="the column of valence")
    arousal: str | int | None = Field(None, description="the column of arousal")
    split: str | int | None = Field(None, description=f"the column of splits, or {_PATTERN} as the split")


FOLDER = declare(
    DatasetInfo(
        name="folder",
        title="class folders of your own",
        about="one folder a class, in the data root; with split folders above or below, if you have splits",
        datamodule="fer_bench.datasets.folder:FolderDataModule",
        options=FolderOptions,
        written="folder:NAME",
    )
)
TABLE = declare(
    DatasetInfo(
        name="table",
        title="a table of your own",
        about="CSV or Parquet, one image a row, with a label or with valence and arousal",
        datamodule="fer_bench.datasets.table.module:TableDataModule",
        options=TableOptions,
        written="table:FILE",
    )
)
