"""``config.json`` of a network on the hub: how it is fed, and which files belong to it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_bench.deploy.model_card import Card
from fer_bench.errors import BadDataError
from fer_bench.findings import like, reason
from fer_bench.untrusted import read_regular, shown, strict_json

FORMAT = 1
CONFIG, RECORD, WEIGHTS, ONNX, README = "config.json", "record.json", "model.safetensors", "model.onnx", "README.md"
_MOST_BYTES = 2**20


class Config(BaseModel):
    """The file's content.

    Args:
        format: version of this file.
        fer_bench: version of the package that has written it.
        network: how it is fed, and what its outputs mean.
        files: SHA-256 of the files beside it, by name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = 1
    fer_bench: str
    network: Card
    files: dict[str, Annotated[str, like("[0-9a-f]{64}", "64 hexadecimal digits")]] = Field(min_length=1)


def sha256_of(path: Path) -> str:
    """Digest of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_config(folder: Path, place: str) -> Config:
    """Read the file of a folder.

    Args:
        folder: with the repository's files.
        place: what the repository is called, for errors.

    Raises:
        BadDataError: there is none; it is of another program, damaged, or of a format that this version cannot read.
    """
    try:
        content = strict_json(read_regular(folder / CONFIG, _MOST_BYTES))
    except FileNotFoundError:
        problem = f"{place} has no {CONFIG}: it is no network of fer_bench."
        raise BadDataError(problem, "Check the name.") from None
    except (OSError, ValueError) as error:
        problem = f"{place}: {CONFIG} cannot be read ({shown(error)})."
        raise BadDataError(problem, _again(folder)) from None
    _require_format(content, place)
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = shown(".".join(map(str, first["loc"])), 80)
        problem = f"{place}: {CONFIG}: {where}: {shown(reason(first))}."
        raise BadDataError(problem, "Ask who has pushed it; `fer-bench push` writes it.") from None


def _require_format(content: Any, place: str) -> None:
    if not isinstance(content, dict) or not {"fer_bench", "network"} <= content.keys():
        problem = f"{place} is a model of another program, not a network of fer_bench."
        raise BadDataError(
            problem, f"An image classifier of transformers is tested by `fer-bench evaluate --model {place}`."
        )
    if content.get("format") != FORMAT:
        problem = (
            f"{place}: {CONFIG} is of format {shown(content.get('format'), 20)}, written by fer_bench"
            f" {shown(content['fer_bench'], 20)}; this version reads format {FORMAT}."
        )
        raise BadDataError(problem, "Install that version of fer_bench, or a newer one.")


def require_files(config: Config, folder: Path, names: tuple[str, ...], place: str) -> None:
    """Refuse files that are not those that were pushed.

    Raises:
        BadDataError: one is missing, or has another digest.
    """
    for name in names:
        path = folder / name
        if not path.is_file():
            problem = f"{place} has no {name}."
            raise BadDataError(problem, "Ask who has pushed it to push it again.")
        if (found := sha256_of(path)) != config.files.get(name):
            stated = config.files.get(name, "none")
            problem = f"{place}: {name} is damaged: its sha256 is {found[:12]}, {CONFIG} says {stated[:12]}."
            raise BadDataError(problem, _again(folder))


def write_config(card: Card, folder: Path) -> bytes:
    """The file's content for all files that are in a folder, but for the card."""
    names = sorted(path.name for path in folder.iterdir() if path.name in (RECORD, WEIGHTS, ONNX))
    config = Config(fer_bench=card.fer_bench, network=card, files={name: sha256_of(folder / name) for name in names})
    return (json.dumps(config.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()


def _again(folder: Path) -> str:
    return f"Delete {folder} and try again; if it stays so, ask who has pushed it."
