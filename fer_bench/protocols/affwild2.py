"""Aff-Wild2: frames of videos, with an expression each, or with valence and arousal."""

from __future__ import annotations

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS


class AffWild2Options(DatasetOptions):
    """What ``dataset_options`` may hold for Aff-Wild2."""

    every: int = Field(
        1,
        ge=1,
        description=(
            "the distance of the frames of a video that are kept: one of so many, in all splits; for a quick look, such"
            " as an audit, 50"
        ),
    )
    validation: float = Field(
        0.1, gt=0, lt=1, description="the share of train, by whole videos, that is held out for validation"
    )


_ABOUT = (
    "The official validation set is the test of the literature, since the labels of the test set are not given out; a"
    " tenth of train, by whole videos, is held out to select on. Only frames with a valid label and a cropped face are"
    " read."
)

AFFWILD2 = declare(
    DatasetInfo(
        name="affwild2",
        title="Aff-Wild2",
        about="about 2.8 million frames of some 560 videos from the web: expressions, valence and arousal",
        licence="non-commercial research only, by an agreement with its authors",
        homepage="https://sites.google.com/view/dimitrioskollias/databases/aff-wild2",
        citation="""@inproceedings{kollias2019expression,
  title = {Expression, Affect, Action Unit Recognition: {Aff-Wild2}, Multi-Task Learning and {ArcFace}},
  author = {Kollias, Dimitrios and Zafeiriou, Stefanos},
  booktitle = {British Machine Vision Conference (BMVC)},
  year = {2019}
}""",
        how_to_get=(
            "Aff-Wild2 is given to researchers on request by its authors"
            " (sites.google.com/view/dimitrioskollias/databases/aff-wild2); unpack the annotations and the cropped,"
            " aligned faces."
        ),
        unverified=(
            "the reader follows the folders, headers and codes that the challenges describe; it has not been tried on"
            " real files. Compare the counts of frames with those that the authors print"
        ),
        datamodule="fer_bench.datasets.affwild2:AffWild2DataModule",
        options=AffWild2Options,
        default_task="expr8",
        picture="face",
        channels=3,
    ),
    *(
        Protocol("affwild2", TASKS[task], about=f"{_ABOUT}{more}")
        for task, more in (
            ("expr8", " Lists since 2022, with the class other."),
            ("fer7", " Frames of the class other are left out."),
            ("va", ""),
            ("valence", ""),
            ("arousal", ""),
        )
    ),
)
