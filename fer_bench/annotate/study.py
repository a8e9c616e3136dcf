"""The study file: which images, which questions, which texts; unknown keys and impossible combinations are errors."""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BaseModel, Field, StrictBool, StrictInt

from fer_bench.annotate.forms import SAM_POINTS, WHEEL, Form, Name, Names, Strict
from fer_bench.annotate.images import StudyImage, list_images
from fer_bench.errors import MissingDataError, SpecError
from fer_bench.findings import like, reason
from fer_bench.yaml_lines import YamlFile, read_yaml


def _ordered(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] > bounds[1]:
        message = "the lower bound is above the upper one"
        raise ValueError(message)
    return bounds


# Of any scale; which one it is, the form says.
ScalePoint = Annotated[StrictInt, Field(ge=-3, le=SAM_POINTS)]
ScaleRange = Annotated[tuple[ScalePoint, ScalePoint], AfterValidator(_ordered)]


class ImageSource(Strict):
    """Where the images are: a folder, or the rows of a CSV (columns ``path`` and optionally ``label``) below that
    folder.
    """

    folder: Path
    table: Path | None = None
    per_rater: Annotated[StrictInt, Field(ge=1)] | None = None


class Expected(Strict):
    """The reference answer of a catch item; every given field is one datapoint of the overlap score (FindingEmo,
    section 2.3.3).
    """

    decision: Literal["keep", "reject"] | None = None
    category: Names | None = None
    wheel: Names | None = None
    valence: ScaleRange | None = None
    arousal: ScaleRange | None = None

    def points(self) -> tuple[str, ...]:
        """Names of the fields that are expected."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) is not None)


class CatchItem(Strict):
    """An image whose answer is known, to distinguish attentive raters from others."""

    image: str
    expect: Expected


class PracticeItem(Strict):
    """An image shown before the study proper, with a note that explains the form."""

    image: str
    note: str = ""


class Prescreen(Strict):
    """Choose ``per_class`` confusing images of every class."""

    per_class: Annotated[StrictInt, Field(ge=1)]


class StudyFile(Strict):
    """The study file as written; see ``example.yaml`` for what each key does."""

    name: Annotated[str, like(r"[a-z0-9][a-z0-9-]{0,39}", "1 to 40 lower-case letters, digits and hyphens")]
    version: Annotated[str, like(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,39}", "1 to 40 letters, digits and . + -")]
    title: Name
    language: Annotated[str, like(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", "a code such as en or pt-BR")] = "en"
    seed: StrictInt = 0
    images: ImageSource
    form: Form = Form()
    repeats: Annotated[StrictInt, Field(ge=0)] = 0
    repeat_gap: Annotated[StrictInt, Field(ge=1)] = 10
    allow_back: StrictBool = True
    allow_skip: StrictBool = True
    practice: Annotated[tuple[PracticeItem, ...], Field(max_length=20)] = ()
    catch: Annotated[tuple[CatchItem, ...], Field(max_length=100)] = ()
    prescreen: Prescreen | None = None
    consent: Annotated[str, Field(min_length=1)]
    instructions: Annotated[str, Field(min_length=1)]
    finished: str = "Thank you. All your answers have been saved; you can close this page."
    completion_url: Annotated[str, like(r"https?://[^\s\"'<>]+", "an address such as https://...")] | None = None


@dataclass(frozen=True)
class Study:
    """A study file that was checked against its images.

    Args:
        path: the study file.
        file: its content.
        main: images to be annotated (neither practice nor catch).
        practice: practice images, in the order of the file.
        catch: catch images with their expected answers.
    """

    path: Path
    file: StudyFile
    main: tuple[StudyImage, ...]
    practice: tuple[StudyImage, ...]
    catch: tuple[tuple[StudyImage, Expected], ...]

    def digest(self) -> str:
        """SHA-256 over everything that shapes answers (not over pixels); a changed digest calls for a new version."""
        settings = self.file.model_dump(mode="json")
        settings["form"] = self.file.form.settings()
        settings["images"].pop("folder")
        settings["images"].pop("table")
        rows = [(image.name, image.label) for image in self.main]
        return hashlib.sha256(json.dumps([settings, rows], sort_keys=True).encode()).hexdigest()

    def consent_digest(self) -> str:
        """SHA-256 of the consent text: who agreed to another text is asked again."""
        return hashlib.sha256(self.file.consent.encode()).hexdigest()

    def images(self) -> tuple[StudyImage, ...]:
        """All images: main, practice, catch."""
        return (*self.main, *self.practice, *(image for image, _ in self.catch))

    def label_names(self) -> tuple[str, ...]:
        """Sorted original labels of the main images, for pre-screening."""
        return tuple(sorted({image.label for image in self.main if image.label}))


def load_study(path: Path | str) -> Study:
    """Read and check a study file and its images.

    Args:
        path: the YAML file; relative paths in it count from its folder.

    Raises:
        SpecError: the file, named with line and key, cannot be used.
        MissingDataError: images are missing.
        BadDataError: a file is not an image, or the image table is malformed.
    """
    source = read_yaml(Path(path), "`fer-bench annotate init` writes an example study file with every key.")
    try:
        file = StudyFile.model_validate(source.content)
    except pydantic.ValidationError as error:
        raise _explain(source, error) from None
    except RecursionError:
        problem = f"{source.path}: nested too deeply."
        raise SpecError(problem) from None
    _check_names(source, file)
    folder = source.path.parent / file.images.folder
    table = source.path.parent / file.images.table if file.images.table else None
    if not folder.is_dir():
        problem = f"{source.where(('images', 'folder'))}: images.folder: {folder} is not a folder."
        raise MissingDataError(problem, "Put the images there; relative paths count from the folder of the study file.")
    practice = list_images(folder, [item.image for item in file.practice], f"{source.where(('practice',))}: practice")
    catch = list_images(folder, [item.image for item in file.catch], f"{source.where(('catch',))}: catch")
    special = {image.name for image in (*practice, *catch)}
    if len(special) != len(practice) + len(catch):
        problem = f"{source.where(('catch',))}: an image is listed twice among practice and catch."
        raise SpecError(problem, "Use every practice and catch image once.")
    everything = list_images(folder, table, f"{source.where(('images',))}: images")
    main = tuple(image for image in everything if image.name not in special)
    study = Study(
        source.path, file, main, practice, tuple(zip(catch, (item.expect for item in file.catch), strict=True))
    )
    _check_counts(source, study)
    return study


def _check_names(source: YamlFile, file: StudyFile) -> None:
    form = file.form
    for index, item in enumerate(file.catch):
        for field in item.expect.points():
            at = ("catch", index, "expect", field)
            asked = bool(form.categories) if field == "category" else bool(getattr(form, field))
            if not asked:
                problem = (
                    f"{source.where(at)}: catch.{index}.expect.{field} is expected, but the form does not ask for it."
                )
                raise SpecError(problem, "Switch the question on under form, or drop the expectation.")
            allowed = {"category": form.categories, "wheel": WHEEL}.get(field)
            wrong = [name for name in getattr(item.expect, field) if name not in allowed] if allowed else []
            if wrong:
                problem = f"{source.where(at)}: catch.{index}.expect.{field}: {wrong[0]!r} is not one of the answers."
                raise SpecError(problem, f"Answers are: {', '.join(allowed or ())}.")
        for dimension in ("valence", "arousal"):
            low, high = form.ends(dimension)
            bounds = getattr(item.expect, dimension)
            if bounds is not None and not (low <= bounds[0] and bounds[1] <= high):
                at = ("catch", index, "expect", dimension)
                problem = (
                    f"{source.where(at)}: catch.{index}.expect.{dimension} is {list(bounds)}, but the form's scale is"
                    f" {low} to {high}."
                )
                raise SpecError(problem, "Give the range on the scale that raters see.")
        if not item.expect.points():
            problem = f"{source.where(('catch', index))}: catch.{index}.expect is empty."
            raise SpecError(problem, "Give at least one of decision, category, wheel, valence, arousal.")


def _check_counts(source: YamlFile, study: Study) -> None:
    if not study.main:
        problem = f"{source.where(('images',))}: images: none is left to annotate besides practice and catch images."
        raise SpecError(problem, "Put more images into images.folder.")
    per_rater = study.file.images.per_rater or len(study.main)
    if per_rater > len(study.main):
        problem = (
            f"{source.where(('images', 'per_rater'))}: images.per_rater is {per_rater}, but there are {len(study.main)}"
            " images."
        )
        raise SpecError(problem, "Lower it, or leave it out to show every rater every image.")
    gap, repeats = study.file.repeat_gap, study.file.repeats
    if repeats and repeats > max(0, per_rater - gap):
        problem = (
            f"{source.where(('repeats',))}: repeats: {repeats} of {per_rater} images cannot be repeated at least {gap}"
            " images later."
        )
        raise SpecError(problem, f"With repeat_gap {gap}, repeats can be at most {max(0, per_rater - gap)}.")
    if study.file.prescreen and not study.label_names():
        problem = f"{source.where(('prescreen',))}: prescreen needs classes, but no image has a label."
        raise SpecError(problem, "Put the images into one sub-folder per class, or add a label column to images.table.")


def _explain(source: YamlFile, error: pydantic.ValidationError) -> SpecError:
    # a misspelt key is also a missing one: the misspelling says more
    first = min(
        error.errors(include_url=False, include_context=False), key=lambda found: found["type"] != "extra_forbidden"
    )
    keys = tuple(first["loc"])
    key = ".".join(str(part) for part in keys) or "the file"
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(keys[-1]), _known_keys(), n=1, cutoff=0.6)
        hint = f"Did you mean {near[0]!r}?" if near else "`fer-bench annotate init` writes an example with every key."
        return SpecError(f"{source.where(keys)}: unknown key {key!r}.", hint)
    if first["type"] == "missing":
        return SpecError(
            f"{source.where(keys[:-1])}: key {key!r} is missing.",
            "`fer-bench annotate init` writes an example with every key.",
        )
    hint = (
        "Put it in quotes."
        if first["type"] == "string_type" and isinstance(first["input"], int | float | bool)
        else "Correct it and start again."
    )
    return SpecError(f"{source.where(keys)}: {key}: {reason(first)} (found {_short(first['input'])}).", hint)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys() -> list[str]:
    models: tuple[type[BaseModel], ...] = (StudyFile, ImageSource, Form, Expected, CatchItem, PracticeItem, Prescreen)
    return sorted({key for model in models for key in model.model_fields})


def write_example(path: Path | str, form: Literal["faces", "findingemo"] = "faces") -> Path:
    """Write a commented example study file.

    Args:
        path: the file to write; its folder is made where it is missing.
        form: faces with a word for the expression, or scenes with the form of FindingEmo.

    Returns:
        The file.

    Raises:
        SpecError: the file exists, or cannot be written.
    """
    target = Path(path)
    name = "example.yaml" if form == "faces" else f"example_{form}.yaml"
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        problem = f"{target} exists."
        raise SpecError(problem, "Choose another name; nothing was overwritten.") from None
    except OSError as error:
        problem = f"{target}: cannot be written: {error.strerror}."
        raise SpecError(problem, "Choose another path.") from None
    return target
