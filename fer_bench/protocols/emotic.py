"""EMOTIC: people in photographs, with any of 26 categories each, and valence, arousal and dominance."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS

SCALE = (1.0, 10.0)


class EmoticOptions(DatasetOptions):
    """What ``dataset_options`` may hold for EMOTIC."""

    images: Literal["person", "scene"] = Field(
        "person", description="which part of a photograph is read: the box of the person, or all of it"
    )
    cache: bool = Field(True, description="whether decoded pictures are kept on disk")


EMOTIC = declare(
    DatasetInfo(
        name="emotic",
        title="EMOTIC",
        about="34,320 people in 23,571 photographs, 26 categories of emotion, valence, arousal and dominance",
        licence="non-commercial research only, on request",
        homepage="https://s3.sunai.uoc.edu/emotic/index.html",
        citation="""@article{kosti2019context,
  title = {Context Based Emotion Recognition Using EMOTIC Dataset},
  author = {Kosti, Ronak and Alvarez, Jose M. and Recasens, Adria and Lapedriza, Agata},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume = {42},
  number = {11},
  pages = {2755--2766},
  year = {2019}
}""",
        how_to_get=(
            "EMOTIC is given to researchers on request by its authors (s3.sunai.uoc.edu/emotic); unpack Annotations.mat"
            " and the pictures."
        ),
        unverified=(
            "the reader follows the authors' description of Annotations.mat and public programs that read it and write"
            " CSVs of it; it has not been tried on a real file. Compare the counts of the categories with those that"
            " the authors print"
        ),
        datamodule="fer_bench.datasets.emotic.module:EmoticDataModule",
        options=EmoticOptions,
        default_task="emotic26",
        picture="person",
        channels=3,
    ),
    Protocol(
        "emotic",
        TASKS["emotic26"],
        about=(
            "Official splits. Any number of 26 categories a person; of validation and test, whatever any annotator"
            " named. Intervals draw whole photographs."
        ),
    ),
    *(
        Protocol(
            "emotic",
            TASKS[task],
            about="Official splits. Values from 1 to 10; of validation and test, means over annotators.",
            scale=SCALE,
        )
        for task in ("vad", "va", "valence", "arousal")
    ),
)
