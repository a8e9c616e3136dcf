"""FindingEmo: photographs of people among others, and what they feel."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.scene_values import scene_values
from fer_bench.protocols.tasks import TASKS


class FindingEmoOptions(DatasetOptions):
    """What ``dataset_options`` may hold for FindingEmo."""

    width: int = Field(800, ge=8, le=4096, description="the width of the frame in pixels, in the paper 800")
    height: int = Field(600, ge=8, le=4096, description="the height of the frame in pixels, in the paper 600")
    fit: Literal["letterbox", "stretch"] = Field(
        "letterbox",
        description="how an image is put into the frame: letterbox keeps its proportions, stretch fills the frame",
    )
    split_seed: int = Field(0, ge=0, description="the seed of the split")
    manifest: str | None = Field(
        None,
        description="a manifest.csv of `fer-bench download findingemo`: only its images are read, all of them must be"
        " there, and the record names its digest",
    )

    @property
    def frame_width(self) -> int | None:
        """That of the frame."""
        return self.width

    @property
    def letterboxed(self) -> bool:
        """As ``fit`` says."""
        return self.fit == "letterbox"


_ABOUT = (
    "A fifth of each Emo8 class is the test set, as in the paper, and a tenth is held out from the rest to select on;"
    " the paper selected on test. Links to the images rot, so every copy is another subset: only rows of the same copy"
    " are ranked against each other."
)
FINDINGEMO = declare(
    DatasetInfo(
        name="findingemo",
        title="FindingEmo",
        about="25,869 photographs of people in social settings, emotion, valence and arousal of the scene",
        licence="CC BY-NC-SA 4.0 (annotations and addresses; the images belong to their owners)",
        homepage="https://gitlab.com/EAVISE/lme/findingemo",
        citation="""@inproceedings{mertens2024findingemo,
  title = {FindingEmo: An Image Dataset for Emotion Recognition in the Wild},
  author = {Mertens, Laurent and Yargholi, Elahe and Op de Beeck, Hans and Van den Stock, Jan and Vennekens, Joost},
  booktitle = {Advances in Neural Information Processing Systems, Datasets and Benchmarks Track},
  year = {2024}
}""",
        how_to_get=(
            "pip install 'fer_bench[findingemo]' brings the authors' annotations and list of addresses, which are then"
            " found by themselves."
        ),
        datamodule="fer_bench.datasets.findingemo.module:FindingEmoDataModule",
        options=FindingEmoOptions,
        default_task="emo8",
        picture="scene",
        channels=3,
    ),
    *(Protocol("findingemo", TASKS[task], about=_ABOUT) for task in ("emo8", "emo24", "arousal3", "valence3")),
    *scene_values("findingemo", _ABOUT),
)
