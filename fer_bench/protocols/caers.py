"""CAER-S: stills from television, people in their surroundings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS


class CaersOptions(DatasetOptions):
    """What ``dataset_options`` may hold for CAER-S."""

    images: Literal["scene", "face"] = Field(
        "scene", description="what is shown: the whole picture, or the face that a list of boxes names"
    )
    margin: float = Field(0.1, ge=0, le=2, description="the share of the face box that is added around it")
    validation: float = Field(0.1, gt=0, lt=1, description="the share of train that is held out for validation")
    cache: bool = Field(False, description="whether resized pictures are kept on disk: 10 GB at 224 px")


CAERS = declare(
    DatasetInfo(
        name="caers",
        title="CAER-S",
        about="69,982 stills from 79 television series, people in their surroundings, seven emotions",
        licence="for research, on the terms of its authors; the stills belong to their owners",
        homepage="https://caer-dataset.github.io",
        citation="""@inproceedings{lee2019context,
  title = {Context-Aware Emotion Recognition Networks},
  author = {Lee, Jiyoung and Kim, Seungryong and Kim, Sunok and Park, Jungin and Sohn, Kwanghoon},
  booktitle = {IEEE/CVF International Conference on Computer Vision (ICCV)},
  pages = {10143--10152},
  year = {2019}
}""",
        how_to_get=(
            "CAER-S is given out by its authors (caer-dataset.github.io); lists of face boxes are in the public"
            " repository github.com/larrylu0426/CAERS-Annotation."
        ),
        unverified=(
            "the reader was tried on the names and face boxes of a public list, not on the pictures themselves. Compare"
            " the counts of the classes with those that the authors print"
        ),
        datamodule="fer_bench.datasets.caers:CaersDataModule",
        options=CaersOptions,
        default_task="fer7",
        picture="scene",
        channels=3,
    ),
    Protocol(
        "caers",
        TASKS["fer7"],
        about=(
            "Official test set; a tenth of each class of train is held out to select on. The pictures do not say which"
            " clip they are from: stills of one clip can be in train and in validation."
        ),
    ),
)
