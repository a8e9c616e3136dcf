"""RAF-DB, the basic set: one of seven expressions a face."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS


class RafDbOptions(DatasetOptions):
    """What ``dataset_options`` may hold for RAF-DB."""

    images: Literal["aligned", "original"] = Field(
        "aligned", description="which pictures are read: faces of 100 px, or the photographs, cut to their boxes"
    )
    validation: float = Field(0.1, gt=0, lt=1, description="the share of train that is held out for validation")


RAF_DB = declare(
    DatasetInfo(
        name="raf_db",
        title="RAF-DB (basic)",
        about="15,339 faces from the web, labelled by about 40 people each, seven expressions",
        licence="non-commercial research only, on request",
        homepage="http://www.whdeng.cn/RAF/model1.html",
        citation="""@inproceedings{li2017reliable,
  title = {Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the Wild},
  author = {Li, Shan and Deng, Weihong and Du, JunPing},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2017}
}""",
        how_to_get="RAF-DB is given to researchers on request by its authors (whdeng.cn/RAF/model1.html).",
        unverified=(
            "the reader follows descriptions of the basic set; it has not been tried on its real files. Compare the"
            " counts of the classes with those that the authors print"
        ),
        datamodule="fer_bench.datasets.raf_db:RafDbDataModule",
        options=RafDbOptions,
        default_task="fer7",
        picture="face",
        channels=3,
    ),
    Protocol(
        "raf_db",
        TASKS["fer7"],
        n_test=3068,
        about=(
            "Official splits: 12,271 images to train and 3,068 to test; a tenth of each class of train is held out to"
            " select on."
        ),
    ),
)
