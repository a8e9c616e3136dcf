"""The embedded datasets, rendered by the package itself."""

from __future__ import annotations

from pydantic import Field

from fer_bench.protocols.dataset import DatasetInfo, declare
from fer_bench.protocols.options import DatasetOptions
from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.scene_values import scene_values
from fer_bench.protocols.tasks import TASKS

_LICENCE = "that of this package (Apache-2.0)"
_HOW_TO_GET = "The package renders it when it is first used."
_SHOWS = "Synthetic {}; a smoke test, not a benchmark."


class _Counted(DatasetOptions):
    """How many samples a synthetic dataset has."""

    n_train: int = Field(0, ge=0)
    n_validation: int = Field(0, ge=0)
    n_test: int = Field(0, ge=0)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Samples of each of the splits train, validation, test."""
        return (self.n_train, self.n_validation, self.n_test)

    def place_of(self, index: int) -> tuple[int, int]:
        """The number of a sample's split, and its position in it.

        Raises:
            IndexError: there is no such sample.
        """
        position = index
        for split, count in enumerate(self.counts):
            if 0 <= position < count:
                return split, position
            position -= count
        problem = f"there are {sum(self.counts)} samples; there is no sample {index}."
        raise IndexError(problem)


class SynthConfig(_Counted):
    """A population of synthetic faces."""

    n_train: int = Field(6000, ge=0, description="how many pictures the training split has")
    n_validation: int = Field(1000, ge=0, description="how many pictures the validation split has")
    n_test: int = Field(1500, ge=0, description="how many pictures the test split has")
    size: int = Field(48, ge=16, description="the side of the pictures in pixels")
    seed: int = Field(0, ge=0, description="the seed of the random numbers, from which everything follows")
    difficulty: float = Field(
        0.35,
        ge=0,
        le=1,
        description="0 (posed, full expressions in clean pictures) to 1 (weak and mixed ones in bad pictures)",
    )

    frames: int = Field(5, ge=2, le=1000, description="how many frames a clip has; a person has two clips")
    video: float = Field(
        0.0,
        ge=0,
        le=1,
        description=(
            "how much each frame suffers from what video adds: noise, motion blur, flicker and passing occlusion, anew"
            " from frame to frame; 0: as little as a photograph"
        ),
    )

    @property
    def described(self) -> str:
        """What identifies the population; options that came later count only where they are used."""
        stated = {name: value for name, value in self if name not in _LATER or value != _LATER[name]}
        return f"SynthConfig({', '.join(f'{name}={value!r}' for name, value in stated.items())})"


_LATER = {"frames": 5, "video": 0.0}


class SceneConfig(_Counted):
    """A set of synthetic scenes."""

    n_train: int = Field(1200, ge=0, description="how many scenes the training split has")
    n_validation: int = Field(200, ge=0, description="how many scenes the validation split has")
    n_test: int = Field(400, ge=0, description="how many scenes the test split has")
    width: int = Field(400, ge=64, description="the width of the pictures, as they are rendered, in pixels")
    height: int = Field(300, ge=64, description="the height of the pictures, as they are rendered, in pixels")
    seed: int = Field(0, ge=0, description="the seed of the random numbers, from which everything follows")
    difficulty: float = Field(0.4, ge=0, le=1, description="0 (all show the scene's emotion fully, in good light) to 1")


class SynthScenesOptions(SceneConfig):
    """What ``dataset_options`` may hold for synthetic scenes."""

    shrink: int = Field(2, ge=1, le=8, description="by how much pictures are smaller than they were rendered")

    @property
    def frame_width(self) -> int | None:
        """Of the pictures as they are kept."""
        return self.width // self.shrink


SYNTHFACES = declare(
    DatasetInfo(
        name="synthfaces",
        title="synthfaces",
        about="synthetic grey faces of 48 px with the labels of FER2013, FER+ and FindingEmo, valence and arousal",
        licence=_LICENCE,
        free=True,
        how_to_get=_HOW_TO_GET,
        datamodule="fer_bench.datasets.synthfaces:SynthFacesDataModule",
        options=SynthConfig,
        default_task="fer7",
        channels=1,
        # Medians over 196 of 200 drawn faces: those in which MediaPipe's landmarker finds its points.
        margins=(0.26, 0.485, 0.27, 0.07),
        square=True,
        own_landmarks=True,
    ),
    *(
        Protocol("synthfaces", TASKS[task], about=_SHOWS.format("faces"))
        for task in ("fer7", "fer8", "emo8", "emo24", "arousal3", "valence3", "va", "valence", "arousal")
    ),
)
SYNTHSCENES = declare(
    DatasetInfo(
        name="synthscenes",
        title="synthscenes",
        about="synthetic scenes with one to five people, in colour, with FindingEmo's labels",
        licence=_LICENCE,
        free=True,
        how_to_get=_HOW_TO_GET,
        datamodule="fer_bench.datasets.synthscenes:SynthScenesDataModule",
        options=SynthScenesOptions,
        default_task="emo8",
        picture="scene",
        channels=3,
    ),
    *(
        Protocol("synthscenes", TASKS[task], n_test=400, about=_SHOWS.format("scenes"))
        for task in ("emo8", "emo24", "arousal3", "valence3")
    ),
    *scene_values("synthscenes", _SHOWS.format("scenes"), n_test=400),
)
