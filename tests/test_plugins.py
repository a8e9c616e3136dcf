"""Plugins: found by name without being imported, with a digest of their own files, and checked before any data is
read."""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest
import torch

from fer_bench import plugins
from fer_bench.data.augmentation import Augmenter, is_function
from fer_bench.data.batches import make_augmenter
from fer_bench.datasets.load import build_datamodule, dataset_class
from fer_bench.errors import BadDataError, FerBenchError, PluginError, SpecError, UnknownNameError
from fer_bench.labels import FER7
from fer_bench.models.catalog import find_model
from fer_bench.models.trial import try_specified
from fer_bench.plugin_files import code_files
from fer_bench.spec import RunSpec, build
from fer_bench.tasks.losses import build_loss
from fer_bench.tasks.value_losses import build_value_loss
from fer_bench.training.outside import plugin_facts, plugin_inputs

NET = (
    "from torch import nn\nclass Net(nn.Module):\n    def __init__(self, n):\n        super().__init__()\n       "
    " self.f = nn.Linear(3, n)\n"
)


def write(folder, name, text):
    (folder / f"{name}.py").write_text(text)


def test_a_name_is_found_without_being_imported(plugin_folder):
    plugin = plugins.find("model", "fer_plugin.net:TinyNet")
    assert (plugin.reference, plugin.package) == ("fer_plugin.net:TinyNet", "")
    assert len(plugin.digest) == 64
    assert not any(name.startswith("fer_plugin") for name in sys.modules)


@pytest.mark.parametrize(
    ("given", "module"), [("my_names.py", "my_names"), ("./a/names.py", "a.names"), ("a/names", "a.names")]
)
def test_the_path_of_a_module_is_answered_with_its_name(plugin_folder, given, module):
    for ask in (
        lambda: plugins.import_module(given),
        lambda: code_files(given),
        lambda: plugins.import_module(given, "model 'x'"),
    ):
        with pytest.raises(PluginError) as caught:
            ask()
        assert f"Write {module}," in caught.value.hint


def test_the_files_of_a_module_are_those_that_it_imports(plugin_folder):
    write(plugin_folder, "aside", "X = 1\n")
    write(
        plugin_folder,
        "main_net",
        "import os, numpy, fer_bench\nfrom fer_plugin.net import TinyNet\ndef late():\n    import aside\n",
    )
    assert set(code_files("fer_plugin.net")) == {"fer_plugin", "fer_plugin.net", "fer_plugin.blocks"}
    assert set(code_files("main_net")) == {"main_net", "aside", "fer_plugin", "fer_plugin.net", "fer_plugin.blocks"}


@pytest.mark.parametrize("file", ["net", "blocks", "__init__"])
def test_other_code_under_the_same_name_is_another_run(plugin_folder, file):
    spec = RunSpec(model="fer_plugin.net:TinyNet", loss="fer_plugin.losses:focal")
    before = plugin_inputs(spec)
    assert set(before) == {"code of model", "code of loss"}
    with (plugin_folder / "fer_plugin" / f"{file}.py").open("a") as text:
        text.write("# other code\n")
    after = plugin_inputs(spec)
    assert after["code of model"] != before["code of model"]
    assert (after["code of loss"] != before["code of loss"]) == (file == "__init__")


def test_a_file_that_was_edited_is_loaded_anew(plugin_folder):
    write(plugin_folder, "mine", NET)
    first = plugins.find("model", "mine:Net").load()
    write(plugin_folder, "mine", NET + "    edited = True\n")
    again = plugins.find("model", "mine:Net").load()
    assert not hasattr(first, "edited")
    assert again.edited


def test_runs_of_the_package_itself_say_nothing_of_plugins():
    assert plugin_inputs(RunSpec()) == plugin_facts(RunSpec()) == {}
    assert plugin_inputs(RunSpec(task="va", loss="mse+ccc", model="timm:resnet18", dataset="folder:mine")) == {}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("nowhere:Net", None, ("no module nowhere", "looked for in this folder")),
        ("mine.deep:Net", NET, ("no module mine.deep",)),
        ("mine:Nett", NET, ("module mine has no 'Nett'", "'Net'")),
        (
            "mine:Net",
            "raise RuntimeError('no licence')\n",
            ("importing mine raises RuntimeError (no licence)", "python -c 'import mine'"),
        ),
        ("mine:Net", "import sys\nsys.exit('bye')\n", ("raises SystemExit (bye)",)),
        ("mine:Net", "class Net(:\n", ("raises SyntaxError", "line 1")),
        ("mine:Net", "import not_installed_at_all\n", ("raises ModuleNotFoundError", "not_installed_at_all")),
        ("mine.py:Net", NET, ("not a file", "Write mine:Net")),
        ("mine:Net", "Net = 3\n", ("is a int", "nn.Module class")),
        ("mine:Net", "class Net: pass\n", ("not an nn.Module (Net)",)),
        ("mine:Net", "def Net(n, **options): return None\n", ("gives a NoneType, not an nn.Module",)),
        (
            "mine:Net",
            NET + "    def forward(self, x): return self.f(x.mean((2, 3)))[0]\n",
            ("shape (7,) for 2 images, not (2, 7)",),
        ),
        (
            "mine:Net",
            NET + "    def forward(self, x): return self.f(x.mean((0, 2, 3)))[None]\n",
            ("shape (1, 7) for 2 images",),
        ),
        (
            "mine:Net",
            NET + "    def forward(self, x): raise ValueError('too small')\n",
            ("fails on an image of 48 x 48 px", "too small"),
        ),
        (
            "mine:Net",
            NET.replace("nn.Linear(3, n)", "[nn.Linear(3, n)]")
            + "    def forward(self, x): return self.f[0](x.mean((2, 3)))\n",
            ("no parameter",),
        ),
        ("mine:Net", NET.replace("n)", "n, depth)", 1), ("cannot be built", "depth")),
    ],
)
def test_what_is_no_network_is_refused_in_one_line(plugin_folder, name, text, says):
    if text is not None:
        write(plugin_folder, "mine", text)
    with pytest.raises(FerBenchError) as caught:
        try_specified(RunSpec(model=name), 7)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    for part in says:
        assert part in str(caught.value)


def test_names_that_only_look_like_plugins_are_answered_as_before(plugin_folder):
    with pytest.raises(UnknownNameError, match="unknown dataset 'foldr:mine'"):
        dataset_class("foldr:mine")
    with pytest.raises(UnknownNameError, match="unknown model 'not-a-module:x'"):
        find_model("not-a-module:x")


def test_a_network_says_its_size_and_gets_the_options_that_it_has(plugin_folder):
    write(
        plugin_folder,
        "mine",
        NET.replace("n):", "n, image_size, width=1):") + "        self.side = image_size\n    image_size = 64\n",
    )
    from fer_bench.models.zoo import build_network

    network = build_network("mine:Net", 7, native_size=48, options={"width": 2})
    assert (network.body.side, network.adapter.size) == (64, 64)


def test_losses_are_tried_on_a_small_batch(plugin_folder):
    focal = build_loss("fer_plugin.losses:focal", FER7, None, 0.0, {"gamma": 0.0})
    logits, targets = torch.randn(5, 7), torch.arange(5)
    assert torch.allclose(focal(logits, targets), torch.nn.functional.cross_entropy(logits, targets))
    write(
        plugin_folder,
        "mine",
        "import torch\ndef whole(o, t): return (o - t).abs().mean()\ndef each(o, t): return o.mean(1)\ndef flat(o, t):"
        " return torch.ones(())\n",
    )
    assert float(build_value_loss("mse+mine:whole", None)(torch.ones(2, 2), torch.zeros(2, 2))) == 2.0
    for name, says in (
        ("each", "shape (4,), not a scalar"),
        ("flat", "cannot differentiate|does not depend"),
        ("whole", "fails on a small batch"),
    ):
        with pytest.raises(PluginError, match=says.replace("(", r"\(").replace(")", r"\)")):
            build_loss(f"mine:{name}", FER7, None, 0.0, {})
    with pytest.raises(PluginError, match="gama"):
        build_loss("fer_plugin.losses:focal", FER7, None, 0.0, {"gama": 1})
    with pytest.raises(SpecError, match="does not take label_smoothing"):
        build_loss("fer_plugin.losses:focal", FER7, None, 0.1, {})


def test_an_augmentation_is_a_function_of_one_image_or_a_mapping(plugin_folder):
    write(plugin_folder, "mine", "HALF = {'flip': 0.5}\ndef float_(image, rng): return image / 2\n")
    image = np.full((48, 48), 100, dtype=np.uint8)
    speckle = make_augmenter("fer_plugin.augmentation:speckle", {"strength": 20.0}, "device")
    assert isinstance(speckle, Augmenter)
    pictures = []
    for seed in (1, 2, 1):
        speckle.seed(seed)
        pictures.append(speckle(image))
    assert (pictures[0] == pictures[2]).all()
    assert (pictures[0] != pictures[1]).any()
    assert is_function("fer_plugin.augmentation:speckle")
    assert not is_function("mine:HALF")
    assert not make_augmenter("mine:HALF", None, "device").is_identity
    with pytest.raises(PluginError, match="float64"):
        Augmenter("mine:float_")
    with pytest.raises(PluginError, match="strenght"):
        Augmenter("fer_plugin.augmentation:speckle", {"strenght": 1})


@pytest.mark.parametrize("name", ["fer_plugin.data:Squares", "fer_plugin.data:read_squares"])
def test_a_dataset_is_a_class_or_a_function(plugin_folder, name):
    datamodule = build_datamodule(RunSpec(dataset=name, dataset_options={"n": 24}))
    datamodule.setup()
    assert len(datamodule.read_samples) == 24
    assert set(datamodule.read_samples.checksums) == {"train", "validation", "test"}
    assert RunSpec(dataset=name).protocol == name.replace(":", ".") + "-fer7"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def read(data_dir): return 3", "gives a int, not fer_bench.data.samples.Samples"),
        ("def read(data_dir): raise KeyError('labels')", "reading it raises KeyError .*line 2 of .*mine.py"),
        ("def read(): return 3", "cannot be called with a data folder"),
        ("class read: pass", "not an AffectDataModule"),
        ("read = 3", "is a int"),
        ("def read(data_dir): return made(images=np.zeros((8, 4, 4)))", "float64, not uint8"),
        ("def read(data_dir): return made(ids=np.array(['a'] * 8))", "ids occur more than once"),
        ("def read(data_dir): return made(split=np.array(['train'] * 6 + ['test', 'val']))", "unknown split 'val'"),
        ("def read(data_dir): return made(targets={'fer7': np.arange(8)})", "holds 0 to 7, not 0 to 6"),
        ("def read(data_dir): return made(targets={'fer7': np.arange(3)})", "3 entries for 8 ids"),
        ("def read(data_dir): return made(targets={})", "no targets"),
        ("def read(data_dir): return made(images=np.zeros((8, 0, 4), np.uint8))", r"image of 0 has shape \(0, 4\)"),
        (
            "def read(data_dir): return made(images=[*np.zeros((7, 4, 4), np.uint8), np.zeros((4, 4), np.float32)])",
            "the image of 7 has shape .* and type float32, not uint8",
        ),
        (
            "def read(data_dir): return made(images=[*np.zeros((7, 4, 4), np.uint8), np.zeros((5, 4), np.uint8)])",
            r"the image of 7 has shape \(5, 4\), that of 0 \(4, 4\)",
        ),
        ("def read(data_dir): return made(columns={'identity': ['a', None] * 4})", "is empty for 4 of 8 samples"),
        ("def read(data_dir): return made(columns={'identity': np.zeros((8, 2))})", r"identity'\] has shape \(8, 2\)"),
    ],
)
def test_what_is_no_dataset_is_refused_in_one_line(plugin_folder, text, says):
    made = (
        "def made(**over):\n    return Samples(**(dict(ids=np.arange(8).astype(str), images=np.zeros((8, 4, 4),"
        " dtype=np.uint8), layout='made',\n        split=np.array(['train'] * 4 + ['validation', 'test'] * 2),"
        " targets={'fer7': np.arange(8) % 7}) | over))\n"
    )
    write(plugin_folder, "mine", f"import numpy as np; from fer_bench.data.samples import Samples\n{text}\n{made}")
    with pytest.raises((BadDataError, PluginError), match=says) as caught:
        build_datamodule(RunSpec(dataset="mine:read")).setup()
    assert "\n" not in str(caught.value)


def test_a_dataset_may_give_lists(plugin_folder):
    text = """
        from fer_bench.data.samples import Samples
        import numpy as np

        def read(data_dir):
            people = ["a", "b", "c", "d", "e", "f", "g", "g"]
            return Samples(ids=list("01234567"), images=[np.full((4, 4), i, np.uint8) for i in range(8)],
                split=["train"] * 4 + ["validation", "test"] * 2, targets={"fer7": [0, 1, 2, 3, 4, 5, 6, 0]},
                layout="made", groups=people, columns={"identity": people})
    """
    write(plugin_folder, "mine", textwrap.dedent(text))
    datamodule = build_datamodule(RunSpec(dataset="mine:read"))
    datamodule.setup()
    assert any("1 of 7 people are in more than one split (g)" in note for note in datamodule.read_samples.notes)


def test_a_dataset_refuses_options_that_it_does_not_have(plugin_folder):
    with pytest.raises(SpecError, match=r"unknown option 'm'.*"):
        build_datamodule(RunSpec(dataset="fer_plugin.data:read_squares", dataset_options={"m": 24}))


def test_a_task_of_classes_becomes_one_that_every_record_states(plugin_folder):
    spec = build({"dataset": "fer_plugin.data:Squares", "task": "fer_plugin.tasks:MOODS"})
    assert spec.task.startswith("classes2_")
    assert spec.judge.task.labels.names == ("calm", "tense")
    write(plugin_folder, "mine", "MOODS = ['tense', 'calm']\nN = 3\n")
    assert build({"task": "mine:MOODS"}).task == spec.task
    with pytest.raises(PluginError, match="is a int"):
        build({"task": "mine:N"})


def test_registered_names_and_who_registered_them(plugin_folder):
    write(
        plugin_folder,
        "names",
        "import fer_bench\nfrom fer_plugin.net import TinyNet\nfer_bench.register('model', 'tiny', TinyNet)\n",
    )
    plugins.import_module("names")
    assert plugins.find("model", "tiny").facts()["import"] == "names"
    assert "tiny" in plugins.names("model")
    with pytest.raises(PluginError, match="already"):
        plugins.register("model", "tiny", "other:Net")
    with pytest.raises(PluginError, match="'model'"):
        plugins.register("models", "tiny", "other:Net")
    with pytest.raises(PluginError, match="cannot be imported by name"):
        plugins.register("loss", "mine", lambda outputs, targets: outputs.mean())
