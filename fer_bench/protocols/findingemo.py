"""FindingEmo: photographs of people among others, and what they feel."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DecodingOptions
from fer_bench.protocols.protocol import SELECTED_ON_TEST, Protocol
from fer_bench.protocols.scene_values import scene_values
from fer_bench.protocols.tasks import TASKS

_TASKS = ("emo8", "emo24", "arousal3", "valence3")
_COPIES = (
    "Links to the images rot, so every copy is another subset: only rows of the same copy are ranked against each"
    " other."
)


class FindingEmoOptions(DecodingOptions):
    """What ``dataset_options`` may hold for FindingEmo."""

    width: int = Field(800, ge=8, le=4096, description="the width of the frame in pixels, in the paper 800")
    height: int = Field(600, ge=8, le=4096, description="the height of the frame in pixels, in the paper 600")
    fit: Literal["letterbox", "stretch"] = Field(
        "letterbox",
        description="how an image is put into the frame: letterbox keeps its proportions, stretch fills the frame",
    )
    split: Literal["clean", "paper"] = Field(
        "clean",
        description="clean holds a validation part out of train; paper stops and chooses on the test set, as the paper",
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


_CLEAN = (
    "A fifth of each Emo8 class is the test set, as in the paper, and a tenth is held out from the rest to select on;"
    f" the paper selected on test. {_COPIES}"
)
_PAPER = (
    "The paper's own procedure: four fifths of each Emo8 class are trained on, and the other fifth stops the training,"
    " chooses among epochs and settings, and is the test. Its scores are too high for that; the plain board of this"
    f" task has clean ones, on the same test images. {_COPIES}"
)


def _protocols(about: str) -> tuple[Protocol, ...]:
    """Of classes and of values."""
    return (*(Protocol("findingemo", TASKS[task], about=about) for task in _TASKS), *scene_values("findingemo", about))


def _as_in_the_paper(protocol: Protocol) -> Protocol:
    return replace(
        protocol,
        title=f"FindingEmo, {protocol.task.title}, the paper's split",
        caveats=(SELECTED_ON_TEST,),
        variant="paper",
        options={"split": "paper"},
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
    *_protocols(_CLEAN),
    *map(_as_in_the_paper, _protocols(_PAPER)),
)
