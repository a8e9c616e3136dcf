"""ExpW: one of seven expressions for each face of a photograph."""

from __future__ import annotations

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS


class ExpwOptions(DatasetOptions):
    """What ``dataset_options`` may hold for ExpW."""

    margin: float = Field(0.1, ge=0, le=2, description="the share of the face box that is added around it")
    cache: bool = Field(True, description="whether crops are kept on disk")


EXPW = declare(
    DatasetInfo(
        name="expw",
        title="ExpW",
        about="about 91,800 faces in photographs from the web, seven expressions; a public part has 5,705",
        licence="for research, on the terms of its authors; the photographs belong to their owners",
        homepage="http://mmlab.ie.cuhk.edu.hk/projects/socialrelation/index.html",
        citation="""@article{zhang2018facial,
  title = {From Facial Expression Recognition to Interpersonal Relation Prediction},
  author = {Zhang, Zhanpeng and Luo, Ping and Loy, Chen Change and Tang, Xiaoou},
  journal = {International Journal of Computer Vision},
  volume = {126},
  number = {5},
  pages = {550--569},
  year = {2018}
}""",
        how_to_get=(
            "ExpW is given out by its authors (mmlab.ie.cuhk.edu.hk/projects/socialrelation); 5,705 of its faces are in"
            " the public repository github.com/Sansonisimone/ExpW_dataset."
        ),
        unverified=(
            "the reader was tried on the public part (label.lst and Images/), not on the complete set with its folders"
            " label/ and image/origin/"
        ),
        datamodule="fer_bench.datasets.expw:ExpwDataModule",
        options=ExpwOptions,
        default_task="fer7",
        picture="face",
        channels=3,
    ),
    Protocol(
        "expw",
        TASKS["fer7"],
        about=(
            "Five folds by photograph: the faces of one are never in two splits; every face is tested once, and the"
            " score is that of all faces together. The public part has 815 faces of each class."
        ),
        fold_by="photo",
    ),
)
