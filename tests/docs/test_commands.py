"""Every command of the documentation and the README is run, over a small home; where a block says that it needs what a
test machine lacks, its verb and options are checked.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess

import cv2
import pandas as pd
import pytest
import typer
import typer.main
import yaml
from PIL import Image
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.labels import FER7
from fer_bench.paths import benchmarks_dir
from fer_bench.results.store import Store
from tests.docs.blocks import ROOT, blocks_of, pages
from tests.fakes import smooth_images
from tests.plugins import forgotten

BLOCKS = [block for page in pages() for block in blocks_of(page)]
TINY = {
    "defaults.yaml": {
        "dataset": "synthfaces",
        "task": "fer7",
        "model": "five_layer_cnn",
        "epochs": 1,
        "batch_size": 14,
        "augment": "flip",
        "augment_on": "device",
        "precision": "32-true",
    },
    "datasets/synthfaces.yaml": {
        "dataset_options": {"n_train": 42, "n_validation": 21, "n_test": 28, "difficulty": 0.2}
    },
    "models/five_layer_cnn.yaml": {"model_options": {"width": 2}},
    "models/resnet18.yaml": {"model_options": {"width": 0.125}},
    "models/families.yaml": {"families": []},
}
# Folders of images, with their classes.
FOLDERS = {"mine": FER7.names, "ck": ("anger", "contempt", "happy"), "numbered": ("1", "4", "7")}
# What a shell brings, and what only a checkout with a network can do.
SHELL = {"cd", "git", "source", "export"}
# Of a page of its own in tests/test_plugin_docs.py.
ELSEWHERE = {"plugins.md", "CONTRIBUTING.md"}

# What takes long: run by `make proofs`. Their options are checked here, and how pages are run is shown by the others.
LONG = {"more.md", "tune.md", "cost.md", "reproduce.md", "dataset.md", "model.md"}


def verb_of(words):
    """The command of click, its name, and the arguments behind it."""
    command, rest, name = typer.main.get_command(app), list(words[1:]), []
    while hasattr(command, "list_commands"):
        if not rest or rest[0].startswith("-"):
            break
        name.append(rest.pop(0))
        command = command.get_command(typer.Context(command), name[-1])
        assert command is not None, f"no such verb: {' '.join(name)}"
    return command, " ".join(name), rest


def check_parses(words):
    """A verb of this name has these options."""
    command, name, rest = verb_of(words)
    command.make_context(name, rest)


def check_known(words):
    """A command of the shell, of make or of Python that this checkout has."""
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1] in targets
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file() or words[1] == "-m" or any(block.file == words[1] for block in BLOCKS)
    else:
        assert words[0] in SHELL


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_values_of_make_may_have_spaces(tmp_path):
    (tmp_path / ".installed").touch()
    given = {"DATASET": "folder:my faces", "MODEL": "resnet18", "DATA_DIR": "/media/My Disk", "EPOCHS": "1"}
    command = ["make", "-n", "bench", f"VENV={tmp_path}", *(f"{name}={value}" for name, value in given.items())]
    # Neither the flags of a make that runs these tests nor variables that are set here may reach it.
    clean = {"PATH": os.environ["PATH"]}
    said = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=True).stdout
    flags = {"--dataset": "DATASET", "--model": "MODEL", "--epochs": "EPOCHS", "--data-dir": "DATA_DIR"}
    assert shlex.split(said.splitlines()[-1])[2:] == [
        part for flag, name in flags.items() for part in (flag, given[name])
    ]


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "bash"], ids=lambda block: block.where
)
def test_every_command_is_one(block, monkeypatch):
    monkeypatch.setattr("fer_bench.plugins.import_module", lambda name: None)
    for words in block.commands():
        check_parses(words) if words[0] == "fer-bench" else check_known(words)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_options_of_indented_commands_exist(page, monkeypatch):
    # Of what is no fenced block nothing says what it needs, so it is not run.
    monkeypatch.setattr("fer_bench.plugins.import_module", lambda name: None)
    for line in re.findall(r"^    (fer-bench .*(?<!\\))$", page.read_text(encoding="utf-8"), re.MULTILINE):
        check_parses(shlex.split(line, comments=True))


def test_a_block_that_is_not_run_says_what_it_needs():
    assert all(re.match("Needs [^ ]+", block.needs) for block in BLOCKS if block.needs)
    run = [block for block in BLOCKS if block.language == "bash" and not block.needs]
    assert len(run) > 40


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Settings that train in a second, images of one's own, and two runs."""
    folder = tmp_path_factory.mktemp("documented")
    shutil.copytree(benchmarks_dir(), folder / "benchmarks")
    for place, settings in TINY.items():
        (folder / "benchmarks" / place).write_text(yaml.safe_dump(settings))
    for number, image in enumerate(smooth_images(84)):
        for data, classes in FOLDERS.items():
            split = ("train", "train", "validation", "test")[number // len(classes) % 4]
            place = folder / "data" / data / split / classes[number % len(classes)] / f"S{number:02d}_{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place), image)
    with pytest.MonkeyPatch.context() as patch:
        in_home(patch, folder)
        for arguments in ([], ["--lr", "0.0005"]):
            done = CliRunner().invoke(app, ["run", *arguments], catch_exceptions=False)
            assert done.exit_code == 0, done.output
        made = sorted(Store().records("synthfaces-fer7"), key=lambda record: record.created)
    return folder, {"A": made[0].run_id, "B": made[1].run_id, "RUN": made[0].run_id}


def in_home(patch, folder):
    patch.setenv("FER_BENCH_HOME", str(folder))
    for name in ("CACHE", "RUNS", "LEADERBOARDS", "DATA", "SCRATCH"):
        patch.setenv(f"FER_BENCH_{name}", str(folder / name.lower()))


@pytest.fixture
def here(home, own_folders, monkeypatch):
    """A folder to which a shell has gone; figures are not drawn, which would take minutes."""
    folder, names = home
    in_home(monkeypatch, folder)
    images = sorted((folder / "data" / "mine").rglob("*.png"))
    (own_folders / "photos").mkdir()
    for name, columns in (
        ("labels", {"label": [path.parent.name for path in images]}),
        ("values", {"valence": [len(path.stem) / 9 for path in images], "arousal": [0.1] * len(images)}),
    ):
        pd.DataFrame({"image": images, **columns}).to_csv(own_folders / "photos" / f"{name}.csv", index=False)
    monkeypatch.chdir(own_folders)
    monkeypatch.syspath_prepend(own_folders)
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig",
        lambda self, target, **_: Image.new("RGB", (2, 2)).save(target, format="png"),
    )
    with forgotten():
        yield own_folders, names


def filled(text, names):
    return re.sub(r"\b(RUN|A|B)\b", lambda found: names[found[1]], text)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=str(page.relative_to(ROOT)), marks=[pytest.mark.proof] if page.name in LONG else [])
        for page in pages()
        if page.name not in ELSEWHERE and page.parent.name != "reference"
    ],
)
def test_the_commands_of_a_page_work_one_after_the_other(page, here):
    folder, names = here
    for block in blocks_of(page):
        if block.file:
            place = folder / block.file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block.text)
        elif block.language == "python" and not block.needs:
            exec(compile(filled(block.text, names), block.where, "exec"), {})
        if block.language != "bash" or block.needs:
            continue
        for words in block.commands():
            if words[0] == "python":
                runpy.run_path(str(folder / words[1]), run_name="__main__")
            elif words[0] == "fer-bench":
                _, name, rest = verb_of(words)
                arguments = [*name.split(), *(filled(word, names) for word in rest)]
                done = CliRunner().invoke(app, arguments)
                assert done.exit_code == 0, f"{block.where}: {' '.join(words)}: {done.exception!r} {done.output}"
