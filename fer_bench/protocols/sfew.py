"""SFEW 2.0: stills from films."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS


class SfewOptions(DatasetOptions):
    """What ``dataset_options`` may hold for SFEW."""

    images: Literal["either", "aligned", "original"] = Field(
        "either", description="which pictures are read: the authors' aligned faces, the stills, or the faces if there"
    )
    validation: float = Field(0.1, gt=0, lt=1, description="the share of train that is held out for validation")


SFEW = declare(
    DatasetInfo(
        name="sfew",
        title="SFEW 2.0",
        about="1,394 labelled stills from films, seven expressions",
        licence="non-commercial research only, by an agreement with its authors",
        homepage="https://users.cecs.anu.edu.au/~few_group/AFEW.html",
        citation="""@inproceedings{dhall2011static,
  title = {Static Facial Expression Analysis in Tough Conditions: Data, Evaluation Protocol and Benchmark},
  author = {Dhall, Abhinav and Goecke, Roland and Lucey, Simon and Gedeon, Tom},
  booktitle = {IEEE International Conference on Computer Vision, Workshops},
  pages = {2106--2112},
  year = {2011}
}""",
        how_to_get="SFEW is given to researchers on request by its authors, as part of AFEW and EmotiW.",
        unverified=(
            "the reader follows the folders and names that public programs quote; it has not been tried on real files."
            " Compare the counts of the classes with those that the authors print"
        ),
        datamodule="fer_bench.datasets.sfew:SfewDataModule",
        options=SfewOptions,
        default_task="fer7",
        picture="face",
        channels=3,
    ),
    Protocol(
        "sfew",
        TASKS["fer7"],
        about=(
            "The official validation set is the test of the literature, since the labels of the test set are not given"
            " out; a tenth of train, by whole films, is held out to select on."
        ),
    ),
)
