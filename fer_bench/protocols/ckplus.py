"""CK+: posed expressions from the neutral face to the peak."""

from __future__ import annotations

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS


class CkPlusOptions(DatasetOptions):
    """What ``dataset_options`` may hold for CK+; both are of the official tree."""

    last: int = Field(
        3, ge=1, description="how many of the last frames of a sequence show its expression; the very last is the peak"
    )
    margin: float = Field(0.1, ge=0, le=2, description="the share of the landmarks' box that is added around it")


_FOLDS = "Ten folds by person; every picture is tested once, and the score is that of all pictures together."

CKPLUS = declare(
    DatasetInfo(
        name="ckplus",
        title="CK+",
        about="327 labelled sequences of 118 people from the neutral face to the peak, seven posed expressions",
        licence="research only, by an agreement with its authors; most pictures may not be published",
        homepage="http://www.jeffcohn.net/Resources/",
        citation="""@inproceedings{lucey2010extended,
  title = {The Extended {Cohn-Kanade} Dataset ({CK+}): A Complete Dataset for Action Unit and Emotion-Specified
           Expression},
  author = {Lucey, Patrick and Cohn, Jeffrey F. and Kanade, Takeo and Saragih, Jason and Ambadar, Zara and
            Matthews, Iain},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition, Workshops},
  pages = {94--101},
  year = {2010}
}""",
        how_to_get=(
            "CK+ is given to researchers on request by its authors (jeffcohn.net/Resources); unpack the archives of the"
            " images, the emotions and, for cutting out the faces, the landmarks."
        ),
        unverified=(
            "the reader of the official tree follows the authors' description of it, that of CK+48 was tried on the"
            " names of a real copy; neither on the pictures themselves"
        ),
        datamodule="fer_bench.datasets.ckplus:CkPlusDataModule",
        options=CkPlusOptions,
        default_task="ck7",
        picture="face",
        channels=3,
    ),
    Protocol(
        "ckplus",
        TASKS["ck7"],
        about=f"{_FOLDS} The last three frames of each labelled sequence, with contempt and without neutral.",
        fold_by="identity",
    ),
    *(
        Protocol(
            "ckplus",
            TASKS[task],
            about=f"{_FOLDS} The first frame of each labelled sequence is neutral{more}. Official tree only.",
            fold_by="identity",
        )
        for task, more in (("fer8", ""), ("fer7", "; contempt is left out"))
    ),
)
