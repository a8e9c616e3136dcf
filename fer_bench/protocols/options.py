"""The options of a dataset as a typed model, and what is said of one that is not of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fer_bench.cross_validation import KEYS as FOLDING_KEYS
from fer_bench.errors import SpecError
from fer_bench.findings import reason
from fer_bench.registry import unknown_name

_LONGEST = 80


class DatasetOptions(BaseModel):
    """Base of the options of all datasets: what ``dataset_options`` may hold beside ``fold``, ``folds`` and
    ``fold_by``, which every dataset has.

    A field has a type, a range, a default and a description; the last two are shown where a value is refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        # On a command line 1e3 is a float; a field of that type takes an integer as well.
        return int(value) if isinstance(value, float) and value.is_integer() else value

    @property
    def frame_width(self) -> int | None:
        """Width of the images in pixels, where the options say it; None: as wide as high."""
        return None

    @property
    def letterboxed(self) -> bool:
        """Whether images keep their proportions, between bars, instead of being stretched to the frame."""
        return False


class DecodingOptions(DatasetOptions):
    """Of datasets whose images are decoded from files of many sizes."""

    decode: Literal["full", "reduced"] = Field(
        "full",
        description="how JPEG files are decoded: full, at their own size, before they are resized; reduced, at a half,"
        " a quarter or an eighth of it where that is no smaller than the network's input, which is faster and gives"
        " slightly other pixels",
    )

    @property
    def reduced(self) -> bool:
        """Whether JPEG files are decoded at reduced scale."""
        return self.decode == "reduced"


M = TypeVar("M", bound=DatasetOptions)


def read_options(model: type[M], given: Mapping[str, Any], dataset: str) -> M:
    """The options of a dataset, checked, with defaults for those that are left out.

    Args:
        model: what there is.
        given: ``dataset_options``; those of folds are passed over.
        dataset: its name, for the error.

    Raises:
        SpecError: an unknown option (with a suggestion), or a value of another type or out of range.
    """
    own = {key: value for key, value in given.items() if key not in FOLDING_KEYS}
    for key in own:
        if key not in model.model_fields:
            unknown = unknown_name("option", str(key), [*model.model_fields, *FOLDING_KEYS])
            problem = f"dataset_options: dataset {dataset!r} has no option {key!r}."
            raise SpecError(problem, unknown.hint)
    try:
        return model.model_validate(own)
    except ValidationError as error:
        first = error.errors()[0]
    key = str(first["loc"][0])
    shown, field = repr(first["input"]), model.model_fields[key]
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
    problem = f"dataset {dataset!r}: dataset_options.{key} = {shown}: {reason(first)}."
    if isinstance(first["input"], str) and any(f",{name}=" in first["input"] for name in model.model_fields):
        raise SpecError(problem, "Give every option by itself: --dataset-options A=1 --dataset-options B=2.")
    about = f"It is {field.description}" if field.description else "Correct the value"
    default = "" if field.default is None else f"; the default is {field.default!r}"
    raise SpecError(problem, f"{about}{default}.")
