"""muxspace's faces: photographs of people from the web, labelled by volunteers, in a public repository."""

from __future__ import annotations

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS


class MuxspaceOptions(DatasetOptions):
    """What ``dataset_options`` may hold for muxspace's faces."""

    validation: float = Field(0.1, gt=0, lt=1, description="the share of train that is held out for validation")
    test: float = Field(0.2, gt=0, lt=1, description="the share that is held out for the test")


MUXSPACE = declare(
    DatasetInfo(
        name="muxspace",
        title="muxspace/facial_expressions",
        about="13,682 photographs of faces from the web, eight expressions; nine of ten are neutral or happy",
        licence="none is stated; the photographs belong to their owners",
        homepage="https://github.com/muxspace/facial_expressions",
        citation="""@misc{muxspace2016,
  title = {facial\\_expressions: a set of images for classifying facial expressions},
  author = {Rowe, Brian Lee Yung and others},
  howpublished = {github.com/muxspace/facial\\_expressions},
  year = {2016}
}""",
        how_to_get="Its photographs and labels are a public repository: github.com/muxspace/facial_expressions.",
        datamodule="fer_bench.datasets.muxspace:MuxspaceDataModule",
        options=MuxspaceOptions,
        default_task="fer8",
        picture="face",
    ),
    Protocol(
        "muxspace",
        TASKS["fer8"],
        about=(
            "There are no official splits: a fifth of the faces is the test and a tenth of the rest is held out to"
            " select on, chosen by a hash of the person's name in the file name, so that nobody is in two of them."
            " Classes are very uneven: contempt has nine faces."
        ),
    ),
)
