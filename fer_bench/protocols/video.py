"""Valence and arousal over time: AFEW-VA and SEMAINE, both without official splits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS

_TASKS = ("va", "valence", "arousal")
# Of AFEW-VA: the split by the numbers of clips, and the last clip of training and of validation.
NUMBERS = "numbers"
LAST_TRAINED, LAST_VALIDATED = 360, 480


class AfewVaOptions(DatasetOptions):
    """What ``dataset_options`` may hold for AFEW-VA."""

    margin: float = Field(0.1, ge=0, le=2, description="the share of the landmarks' box that is added around it")
    cache: bool = Field(True, description="whether crops are kept on disk")
    split: Literal["folds", "numbers"] = Field(
        "folds",
        description=(
            "how it is split: folds, or numbers: clips 1 to 360 are trained on, 361 to 480 validate, 481 to 600 are"
            " tested"
        ),
    )


AFEW_VA = declare(
    DatasetInfo(
        name="afew_va",
        title="AFEW-VA",
        about="600 film clips, 30,051 frames with valence, arousal and 68 landmarks",
        licence="non-commercial research only, on request",
        homepage="https://ibug.doc.ic.ac.uk/resources/afew-va-database/",
        citation="""@article{kossaifi2017afewva,
  title = {AFEW-VA Database for Valence and Arousal Estimation In-the-Wild},
  author = {Kossaifi, Jean and Tzimiropoulos, Georgios and Todorovic, Sinisa and Pantic, Maja},
  journal = {Image and Vision Computing},
  volume = {65},
  pages = {23--36},
  year = {2017}
}""",
        how_to_get=(
            "AFEW-VA is given to researchers on request by its authors (ibug.doc.ic.ac.uk/resources/afew-va-database);"
            " unpack all of its parts."
        ),
        datamodule="fer_bench.datasets.afew_va:AfewVaDataModule",
        options=AfewVaOptions,
        default_task="va",
        channels=3,
        own_landmarks=True,
    ),
    *(
        Protocol(
            "afew_va",
            TASKS[task],
            about=(
                "Five folds by actor; every frame is tested once, and the score is that of all frames together. Values"
                " from -10 to 10."
            ),
            scale=(-10.0, 10.0),
            fold_by="identity",
        )
        for task in _TASKS
    ),
    *(
        Protocol(
            "afew_va",
            TASKS[task],
            title=f"AFEW-VA, {TASKS[task].title}, clips by number",
            about=(
                "Clips 1 to 360 are trained on, 361 to 480 validate, 481 to 600 are tested; every tested frame counts"
                " once. Values from -10 to 10."
            ),
            # Nobody says that the numbers keep actors apart; the board of the folds does.
            caveats=("a person can be in train and in test",),
            scale=(-10.0, 10.0),
            variant=NUMBERS,
            options={"split": NUMBERS},
        )
        for task in _TASKS
    ),
)


class SemaineOptions(DatasetOptions):
    """What ``dataset_options`` may hold for SEMAINE."""

    every: int = Field(10, ge=1, description="the distance of the frames that are kept: one of so many")
    merge: Literal["mean", "ccc"] = Field("mean", description="how raters are merged")
    margin: float = Field(0.1, ge=0, le=2, description="the share of the landmarks' box that is added around it")
    landmarker: str | None = Field(None, description="the path of the face landmarker's model")


SEMAINE = declare(
    DatasetInfo(
        name="semaine",
        title="SEMAINE",
        about="conversations in a laboratory, valence and arousal rated continuously",
        licence="research only, by an agreement with its authors",
        homepage="https://semaine-db.eu",
        citation="""@article{mckeown2012semaine,
  title = {The SEMAINE Database: Annotated Multimodal Records of Emotionally Colored Conversations between a Person and
           a Limited Agent},
  author = {McKeown, Gary and Valstar, Michel and Cowie, Roddy and Pantic, Maja and Schroder, Marc},
  journal = {IEEE Transactions on Affective Computing},
  volume = {3},
  number = {1},
  pages = {5--17},
  year = {2012}
}""",
        how_to_get="SEMAINE is given to researchers on request (semaine-db.eu).",
        datamodule="fer_bench.datasets.semaine.module:SemaineDataModule",
        options=SemaineOptions,
        default_task="va",
        channels=3,
        own_landmarks=True,
    ),
    *(
        Protocol(
            "semaine",
            TASKS[task],
            about=(
                "Five folds by subject; every tenth frame, each tested once, and the score is that of all frames"
                " together."
            ),
            fold_by="identity",
        )
        for task in _TASKS
    ),
)
