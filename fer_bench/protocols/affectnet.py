"""AffectNet: expressions, and valence and arousal."""

from __future__ import annotations

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DecodingOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS


class AffectNetOptions(DecodingOptions):
    """What ``dataset_options`` may hold for AffectNet."""

    validation: float = Field(0.05, gt=0, lt=1, description="the share of train that is held out for validation")


AFFECTNET = declare(
    DatasetInfo(
        name="affectnet",
        title="AffectNet",
        about="faces from the web, hand-labelled: about 290,000 with an expression, valence and arousal",
        licence="research only, by an agreement with its authors",
        homepage="http://mohammadmahoor.com/affectnet/",
        citation="""@article{mollahosseini2019affectnet,
  title = {AffectNet: A Database for Facial Expression, Valence, and Arousal Computing in the Wild},
  author = {Mollahosseini, Ali and Hasani, Behzad and Mahoor, Mohammad H.},
  journal = {IEEE Transactions on Affective Computing},
  volume = {10},
  number = {1},
  pages = {18--31},
  year = {2019}
}""",
        how_to_get="AffectNet is given to researchers on request by its authors (mohammadmahoor.com/affectnet).",
        datamodule="fer_bench.datasets.affectnet.module:AffectNetDataModule",
        options=AffectNetOptions,
        default_task="fer8",
        channels=3,
    ),
    *(
        Protocol(
            "affectnet",
            TASKS[task],
            about=(
                "AffectNet's validation set (500 faces per expression) is the test of the literature; validation is"
                " held out from train."
            ),
        )
        for task in ("fer8", "fer7")
    ),
    *(
        Protocol(
            "affectnet",
            TASKS[task],
            about=(
                "AffectNet's validation set is the test of the literature; validation is held out from train. Images of"
                " the expression code 8 (none) that have valid valence and arousal are in it, so the two releases"
                " differ: the lists have 500 of them among 4,500, the release of 2021 has none."
            ),
        )
        for task in ("va", "valence", "arousal")
    ),
)
