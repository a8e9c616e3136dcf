"""KDEF: posed expressions of seventy people from five angles."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS


class KdefOptions(DatasetOptions):
    """What ``dataset_options`` may hold for KDEF."""

    angles: Literal["all", "half", "straight"] = Field(
        "all", description="which pictures are read: all five angles, no full profiles, or only those from the front"
    )


KDEF = declare(
    DatasetInfo(
        name="kdef",
        title="KDEF",
        about="4,900 pictures of 70 amateur actors, seven posed expressions, five angles, two sessions",
        licence="non-commercial research only; no redistribution without written consent",
        homepage="https://www.kdef.se",
        citation="""@misc{lundqvist1998karolinska,
  title = {The {Karolinska} Directed Emotional Faces ({KDEF})},
  author = {Lundqvist, Daniel and Flykt, Anders and {\\"O}hman, Arne},
  howpublished = {CD ROM from Department of Clinical Neuroscience, Psychology section, Karolinska Institutet},
  note = {ISBN 91-630-7164-9},
  year = {1998}
}""",
        how_to_get="KDEF is given to researchers by its authors (kdef.se).",
        unverified=(
            "the reader follows the authors' table of codes; it has not been tried on the pictures themselves. Compare"
            " the counts of the classes with those that the authors print"
        ),
        datamodule="fer_bench.datasets.kdef:KdefDataModule",
        options=KdefOptions,
        default_task="fer7",
        picture="face",
        channels=3,
    ),
    Protocol(
        "kdef",
        TASKS["fer7"],
        about=(
            "Ten folds by person: both sessions and all angles of one are in the same fold; every picture is tested"
            " once, and the score is that of all pictures together."
        ),
        fold_by="identity",
    ),
)
