"""What datasets say of themselves: all of it, in one place, without PyTorch; and who asks there."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.data import cache
from fer_bench.datasets.load import build_datamodule, dataset_class
from fer_bench.errors import PluginError, SpecError
from fer_bench.faces.crops import Framing, framing_of, image_shape
from fer_bench.layering import layered
from fer_bench.protocols import DATASETS, PROTOCOLS, DatasetInfo, declare, info_at_hand, info_of
from fer_bench.spec import RunSpec, build

OWN = [name for name in DATASETS if not DATASETS[name].written]
SCENES = """
from pydantic import Field
from fer_bench.protocols import DatasetInfo, DatasetOptions
from fer_plugin.data import read_squares

class Options(DatasetOptions):
    n: int = Field(48, ge=8, description="how many squares there are")

def read(data_dir, n=48):
    return read_squares(data_dir, n)

read.info = DatasetInfo(title="Squares", default_task="fer7", picture="scene", channels=3, options=Options,
                        small_faces=True, citation="Nobody, 2020")
"""


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_says_all_about_itself(name):
    info = DATASETS[name]
    assert info.name == name
    assert info.title
    assert "\n" not in info.about
    module, _, attribute = info.datamodule.partition(":")
    assert getattr(importlib.import_module(module), attribute).dataset == name
    assert all(field.description for field in info.options.model_fields.values())


@pytest.mark.parametrize("name", OWN)
def test_a_dataset_of_others_says_whose_it_is_and_how_it_is_judged(name):
    info = DATASETS[name]
    assert info.licence
    assert info.how_to_get
    assert f"{name}-{info.default_task}" in PROTOCOLS
    assert layered({"dataset": name})["task"] == info.default_task
    if not name.startswith("synth"):
        assert info.homepage.startswith("http")
        assert info.citation.count("{") == info.citation.count("}") > 3
        assert info.how_to_get in str(cache.missing(name, ["it"], []))


def test_what_is_declared_is_read_without_torch():
    text = (
        "import sys; from fer_bench.cli.datasets import described; from fer_bench.protocols import DATASETS\n"
        "for name in DATASETS: list(described(name))\n"
        "assert not {'torch', 'lightning', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", text], check=True)


def test_a_dataset_is_declared_with_its_own_protocols_only():
    with pytest.raises(ValueError, match="declared with dataset 'mine'"):
        declare(DatasetInfo("mine"), PROTOCOLS["fer2013-fer7"])
    del DATASETS._items["mine"]
    with pytest.raises(SpecError, match="picture = 'faces'"):
        DatasetInfo("mine", picture="faces")


@pytest.mark.parametrize(
    ("dataset", "options", "says"),
    [
        ("fer2013", {"margin": 0.1}, "has no option 'margin'.*Known: fold"),
        ("afew_va", {"margn": 0.1}, "Did you mean 'margin'"),
        ("afew_va", {"margin": True}, "margin = True: input should be a valid number"),
        ("afew_va", {"cache": "no"}, "cache = 'no': input should be a valid boolean.*whether crops are kept"),
        ("semaine", {"every": 2.5}, "every = 2.5: input should be a valid integer"),
        ("semaine", {"merge": "median"}, "should be 'mean' or 'ccc'.*default is 'mean'"),
        ("affectnet", {"validation": "0.1"}, "validation = '0.1'"),
        ("findingemo", {"fold_bye": "clip"}, "Did you mean 'fold_by'"),
        ("synthfaces", {"n_train": "9,n_test=9"}, "n_train = '9,n_test=9'.*Give every option by itself"),
        ("synthfaces", {"difficulty": 2}, "less than or equal to 1"),
        ("synthscenes", {"shrink": 0}, "shrink = 0"),
        ("folder:mine", {"people": 3}, "has no option 'people'"),
        ("folder:mine", {"test": 1}, "test = 1: input should be less than 1"),
        ("table:mine", {"label": [1]}, "label = "),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_anything_is_read(dataset, options, says):
    settings = {"dataset": dataset, "dataset_options": options, "task": "fer7"}
    for begin in (
        lambda: build_datamodule(RunSpec(**settings)),
        lambda: dataset_class(dataset)("fer7", options=options),
        lambda: build(layered(settings)),
    ):
        with pytest.raises(SpecError, match=says) as caught:
            begin()
        assert "\n" not in str(caught.value)


def test_a_whole_float_is_an_integer():
    assert DATASETS["synthfaces"].read_options({"n_train": 1e3, "fold": 0, "folds": 5}).n_train == 1000


def test_how_faces_are_framed_and_images_shaped_is_asked_of_the_dataset():
    assert framing_of("ferplus", {}) == framing_of("fer2013", {}) == Framing((0.12, 0.28, 0.11, -0.01), square=True)
    assert framing_of("afew_va", {"margin": 0.3}) == Framing((0.3,) * 4)
    assert framing_of("folder:mine", {}) == Framing()
    assert image_shape("findingemo", {"width": 400}, {"image_size": 300}, 48) == (300, 400, 3)
    assert image_shape("folder:mine", {}, {}, 48) == (48, 48, 1)
    assert info_of("findingemo").read_options({}).letterboxed
    assert not info_of("findingemo").read_options({"fit": "stretch"}).letterboxed


def test_a_dataset_from_outside_says_it_too(plugin_folder, capsys):
    (plugin_folder / "mine.py").write_text(SCENES)
    info = info_of("mine:read")
    assert (info.name, info.title, info.picture) == ("mine:read", "Squares", "scene")
    assert layered({"dataset": "mine:read", "model": "resnet18"})["task"] == "fer7"
    assert image_shape("mine:read", {}, {}, 48) == (48, 48, 3)
    with pytest.raises(SpecError, match=r"n = 3: .*greater than or equal to 8.*how many squares"):
        build_datamodule(RunSpec(dataset="mine:read", dataset_options={"n": 3}))
    assert len(build_datamodule(RunSpec(dataset="mine:read", dataset_options={"n": 24})).read_samples) == 24
    shown = CliRunner().invoke(app, ["list", "datasets", "mine:read"]).output
    assert "Squares" in shown
    assert "Nobody, 2020" in shown
    (plugin_folder / "other.py").write_text("def read(data_dir): ...\nread.info = 'scenes'\n")
    with pytest.raises(PluginError, match="its info is a str"):
        build_datamodule(RunSpec(dataset="other:read"))
    # A dataset that says nothing is of faces; one whose code is not here too, and that is said.
    assert info_of("fer_plugin.data:Squares") == DatasetInfo("fer_plugin.data:Squares")
    assert info_at_hand("nowhere:read") == DatasetInfo("nowhere:read")
    assert "there is no module nowhere. What it says of its images is not known" in capsys.readouterr().err


def test_list_shows_licence_homepage_and_citation_of_one_dataset():
    shown = CliRunner().invoke(app, ["list", "datasets", "affectnet"]).output
    for text in ("research only", "http://mohammadmahoor.com", "@article{mollahosseini2019affectnet", "validation"):
        assert text in shown
    assert "Did you mean 'fer2013'" in str(CliRunner().invoke(app, ["list", "datasets", "fer2031"]).exception)
    assert "takes no name" in str(CliRunner().invoke(app, ["list", "models", "vgg16"]).exception)
