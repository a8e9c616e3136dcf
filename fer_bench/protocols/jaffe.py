"""JAFFE: posed expressions of ten women."""

from __future__ import annotations

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS


class JaffeOptions(DatasetOptions):
    """What ``dataset_options`` may hold for JAFFE."""


JAFFE = declare(
    DatasetInfo(
        name="jaffe",
        title="JAFFE",
        about="213 grey pictures of 10 Japanese women, seven posed expressions",
        licence="non-commercial scientific research only, on request",
        homepage="https://zenodo.org/records/3451524",
        citation="""@inproceedings{lyons1998coding,
  title = {Coding Facial Expressions with Gabor Wavelets},
  author = {Lyons, Michael and Akamatsu, Shigeru and Kamachi, Miyuki and Gyoba, Jiro},
  booktitle = {IEEE International Conference on Automatic Face and Gesture Recognition},
  pages = {200--205},
  year = {1998}
}""",
        how_to_get="JAFFE is given to researchers on request by its authors (zenodo.org/records/3451524).",
        unverified=(
            "the reader follows the names of the pictures, which public programs quote; it has not been tried on the"
            " pictures themselves. Compare the counts of the classes with those that the authors print"
        ),
        datamodule="fer_bench.datasets.jaffe:JaffeDataModule",
        options=JaffeOptions,
        default_task="fer7",
        picture="face",
        channels=3,
    ),
    Protocol(
        "jaffe",
        TASKS["fer7"],
        about="Ten folds by person: each of the ten is tested once, and the score is that of all pictures together.",
        fold_by="identity",
    ),
)
