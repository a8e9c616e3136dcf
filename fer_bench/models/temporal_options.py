"""What ``temporal_options`` may hold, by kind of temporal model; torch-free."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_bench.errors import SpecError
from fer_bench.spec import RunSpec, Settings, spec_error


class TemporalOptions(Settings):
    """What all kinds have.

    Args:
        frames: longest piece of a clip in a training batch; longer clips are cut into pieces of this length that
            overlap where they must; 0: whole clips. Validation, test and prediction always see whole clips.
        width: numbers per frame within the model.
        layers: how many.
        dropout: share of the numbers that is left out in training.
        causal: a frame's output depends on it and on earlier frames alone, as live pictures need.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    frames: int = Field(64, ge=0)
    width: int = Field(128, ge=8, multiple_of=2)
    layers: int = Field(1, ge=1, le=12)
    dropout: float = Field(0.2, ge=0, lt=1)
    causal: bool = True


class GruOptions(TemporalOptions):
    """A gated recurrent unit (Cho et al. 2014); not causal: one in each direction."""


class TcnOptions(TemporalOptions):
    """Residual dilated convolutions (Bai et al. 2018); dilation doubles from layer to layer.

    Args:
        kernel: frames that a layer joins; 1: each frame by itself, for comparison with the same parameters elsewhere.
    """

    layers: int = Field(4, ge=1, le=12)
    kernel: int = Field(3, ge=1, le=31)

    @model_validator(mode="after")
    def _centred(self) -> TcnOptions:
        if not self.causal and self.kernel % 2 == 0:
            message = "kernel must be odd where causal is false"
            raise ValueError(message)
        return self


class TransformerOptions(TemporalOptions):
    """Attention within a window, with a learned weight for each distance in frames (Vaswani et al. 2017; Shaw et al.
    2018).

    Args:
        window: frames that a frame attends to, itself included; not causal: as many to either side.
        heads: of attention; ``width`` is a multiple of it.
    """

    layers: int = Field(2, ge=1, le=12)
    window: int = Field(32, ge=1, le=1024)
    heads: int = Field(4, ge=1)

    @model_validator(mode="after")
    def _shared(self) -> TransformerOptions:
        if self.width % self.heads:
            message = f"width {self.width} is no multiple of {self.heads} heads"
            raise ValueError(message)
        return self


OPTIONS: dict[str, type[TemporalOptions]] = {"gru": GruOptions, "tcn": TcnOptions, "transformer": TransformerOptions}


def temporal_options(spec: RunSpec) -> TemporalOptions | None:
    """The options of a spec's temporal model; None where it has none.

    Raises:
        SpecError: an unknown option, a value out of range, or options without a temporal model.
    """
    if spec.temporal == "none":
        if spec.temporal_options:
            problem = f"temporal_options.{min(spec.temporal_options)} with temporal = 'none' changes nothing."
            raise SpecError(problem, f"Set temporal too ({', '.join(OPTIONS)}), or leave temporal_options out.")
        return None
    kind: type[BaseModel] = OPTIONS[spec.temporal]
    try:
        return OPTIONS[spec.temporal].model_validate(spec.temporal_options)
    except ValidationError as error:
        if not error.errors()[0]["loc"]:
            problem = f"temporal_options: {error.errors()[0]['msg'].removeprefix('Value error, ')}."
            raise SpecError(problem, "Correct one of the two.") from None
        raise spec_error(error, f"temporal_options of {spec.temporal!r}", kind) from None
