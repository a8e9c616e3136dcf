"""FER2013, and the two votes of FER+ on its faces."""

from __future__ import annotations

from dataclasses import replace

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS

# Medians over 366 of FER2013's first 400 faces: those in which MediaPipe's landmarker finds its points.
_MARGINS = (0.12, 0.28, 0.11, -0.01)


class NoOptions(DatasetOptions):
    """None but those of folds."""


FER2013 = declare(
    DatasetInfo(
        name="fer2013",
        title="FER2013",
        about="35,887 grey faces of 48 px from the web, seven expressions",
        licence="none stated: the data of a Kaggle challenge, under its rules",
        homepage="https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge",
        citation="""@inproceedings{goodfellow2013challenges,
  title = {Challenges in Representation Learning: A Report on Three Machine Learning Contests},
  author = {Goodfellow, Ian J. and Erhan, Dumitru and Carrier, Pierre Luc and Courville, Aaron and Mirza, Mehdi
            and others},
  booktitle = {International Conference on Neural Information Processing (ICONIP)},
  year = {2013}
}""",
        how_to_get=(
            "FER2013 is the data of Kaggle's 'Challenges in Representation Learning: Facial Expression Recognition"
            " Challenge'; fer2013.csv is in its archive."
        ),
        datamodule="fer_bench.datasets.fer2013.module:FER2013DataModule",
        options=NoOptions,
        default_task="fer7",
        channels=1,
        small_faces=True,
        margins=_MARGINS,
        square=True,
    ),
    Protocol(
        "fer2013",
        TASKS["fer7"],
        n_test=3589,
        checksums={"train": "7898fc55b7e556e5", "validation": "dd2183b2cdbc0c89", "test": "188f335dbbc6b5a2"},
        about="Official splits: Training to train, PublicTest to select, PrivateTest to test, once.",
    ),
)

FERPLUS = declare(
    replace(
        FER2013,
        name="ferplus",
        title="FER+",
        about="FER2013's faces with the votes of ten taggers (fer2013new.csv), eight expressions",
        licence="MIT (the votes; the faces are FER2013's)",
        homepage="https://github.com/microsoft/FERPlus",
        citation="""@inproceedings{barsoum2016training,
  title = {Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution},
  author = {Barsoum, Emad and Zhang, Cha and Canton Ferrer, Cristian and Zhang, Zhengyou},
  booktitle = {ACM International Conference on Multimodal Interaction (ICMI)},
  year = {2016}
}""",
        how_to_get="fer2013new.csv is in the public FERPlus repository of its authors.",
        datamodule="fer_bench.datasets.ferplus.module:FERPlusDataModule",
        images_of="fer2013",
        default_task="fer8",
    ),
    Protocol(
        "ferplus",
        TASKS["fer8"],
        n_test=3153,
        checksums={"train": "7898fc558fbfa724", "validation": "dd2183b2f9b55a8e", "test": "188f335d6263ce7b"},
        about=(
            "FER2013's faces with the majority vote of ten taggers; images without a majority for an emotion are left"
            " out, as the authors' script does. The votes are those of fer2013new.csv (25,060 / 3,199 / 3,153 images)."
            " Numbers published from the authors' code were tested on other votes, of the layout that their script"
            " generates: the protocol ferplus_generated-fer8 (25,045 / 3,191 / 3,137 images)."
        ),
    ),
)

FERPLUS_GENERATED = declare(
    replace(
        FERPLUS,
        name="ferplus_generated",
        title="FER+ as its authors' code reads it",
        about="FER2013's faces with the votes of the layout that the authors' script generates, eight expressions",
        how_to_get=(
            "The script generate_training_data.py in the public FERPlus repository of its authors makes it from"
            " fer2013.csv."
        ),
        datamodule="fer_bench.datasets.ferplus.generated:FERPlusGeneratedDataModule",
    ),
    Protocol(
        "ferplus_generated",
        TASKS["fer8"],
        n_test=3137,
        checksums={"train": "f416fc80c7b7cd9c", "validation": "e0d032442be87c43", "test": "04db9473fdb0d6c3"},
        about=(
            "FER2013's faces with the majority vote of ten taggers, from the layout that the authors' script generates"
            " (FER2013Train, FER2013Valid and FER2013Test with label.csv; 25,045 / 3,191 / 3,137 images): numbers"
            " published from the authors' code were tested here. Its votes differ from fer2013new.csv in 1,602 of"
            " 35,714 rows; networks that were tested on that file are on the board ferplus-fer8 (25,060 / 3,199 / 3,153"
            " images)."
        ),
    ),
)
