"""Code from outside through the real command line: installed with entry points, or beside the shell, recorded by name,
version and digest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from fer_bench.leaderboard.verify import verify
from fer_bench.results.store import Store
from tests.cli.every_kind import SIZES
from tests.forks import COMMAND, run_alone
from tests.plugins import PACKAGE

TINY = [f"--set=dataset_options.{key}={value}" for key, value in SIZES.items()]
TRAIN = ["--epochs=1", "--batch-size=14", "--accelerator=cpu", "--set=precision=32-true"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package in an environment of its own, by pip: a folder that comes before what is installed already."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    shutil.copytree(PACKAGE, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--disable-pip-version-check",
    ]
    done = subprocess.run(
        [*command, "--target", str(folder / "site"), str(source)], capture_output=True, text=True, check=False
    )
    if "No module named pip" in done.stderr:
        pytest.skip("pip is not installed here")
    assert done.returncode == 0, done.stderr
    return folder / "site"


def test_an_installed_package_brings_one_of_each_by_name(installed, own_folders, tmp_path):
    script = f"import sys\nsys.path.insert(0, {str(installed)!r})\n{COMMAND}"

    def fer_bench(*arguments):
        return run_alone(script, *arguments, folder=tmp_path, timeout=240)

    named = ["--dataset=squares", "--task=moods", "--model=tiny_net", "--loss=focal", "--augment=speckle"]
    done = fer_bench("run", *named, "--set=dataset_options.n=64", *TRAIN)
    assert done.returncode == 0, done.stderr
    (record,) = Store().records()
    assert record.model == "tiny_net"
    stated = record.code["plugins"]
    assert {key: facts["object"] for key, facts in stated.items()} == {
        "model": "fer_plugin.net:TinyNet",
        "dataset": "fer_plugin.data:Squares",
        "loss": "fer_plugin.losses:focal",
        "augment": "fer_plugin.augmentation:speckle",
        "metric geometric_mean": "fer_plugin.metrics:geometric_mean",
    }
    assert record.metrics["geometric_mean"] is not None
    assert {(facts["package"], facts["version"], len(facts["sha256"])) for facts in stated.values()} == {
        ("fer-plugin", "1.2.3", 64)
    }
    assert {key for key in record.inputs if key.startswith("code of ")} == {
        "code of model",
        "code of dataset",
        "code of loss",
        "code of augment",
    }
    assert record.data["plugin"]["name"] == "squares"
    of_values = [named[0], "--task=pain", named[2], "--loss=mse+ccc", "--augment=none"]
    done = fer_bench("run", *of_values, "--set=dataset_options.n=64", *TRAIN)
    assert done.returncode == 0, done.stderr
    value_record = next(found for found in Store().records() if found.run_id != record.run_id)
    assert value_record.data["values"][value_record.task] == {
        "dimensions": ["pain"],
        "scale": [0.0, 16.0],
        "primary": "ccc",
    }
    assert {"ccc", "rmse", "largest_error"} <= value_record.metrics["pain"].keys()
    checked = fer_bench("verify")
    assert (checked.returncode, "Not recomputed" in checked.stdout) == (0, False)
    # Here the package is not installed, and nothing of it is imported.
    assert not verify(Store()).differences
    assert set(verify(Store()).needs_plugins) == {
        "geometric_mean needs plugin fer-plugin 1.2.3",
        "largest_error needs plugin fer-plugin 1.2.3",
    }
    pages = [path.read_text() for path in (own_folders / "leaderboards").glob("*.md")]
    assert any("| Geometric mean % |" in page for page in pages)
    assert any("Values from 0 to 16: pain." in page and "| Largest error |" in page for page in pages)
    assert not any(name.startswith("fer_plugin") for name in sys.modules)


def test_a_network_beside_the_shell_is_run_resumed_by_its_code_and_brought_back(fer_bench, plugin_folder, drawn_cache):
    command = ["run", "--model=fer_plugin.net:TinyNet", "--set=augment=none", *TINY, *TRAIN]
    assert fer_bench(*command).code == 0
    first = next(iter(Store().records()))
    assert fer_bench(*command).code == 0
    assert len(list(Store().records())) == 1, "the same code is the same run"
    assert fer_bench("evaluate", first.run_id, "--train", "--accelerator=cpu").code == 0
    # Its code is not its data: it may be gone on with, and teach.
    for more in (f"--weights=run:{first.run_id}", f"--set=method_options.teachers=[{first.run_id}]"):
        taught = [] if more.startswith("--weights") else ["--set=method=distill"]
        assert fer_bench(*command, more, *taught, "--scratch").code == 0
    with (plugin_folder / "fer_plugin" / "blocks.py").open("a") as text:
        text.write("\n# other code\n")
    refused = fer_bench("evaluate", first.run_id, "--train", "--accelerator=cpu")
    assert refused.code == 2
    assert "is not what it was trained with" in refused.err
    assert fer_bench(*command).code == 0
    records = {record.run_id: record for record in Store().records()}
    assert len(records) == 2, "other code under the same name is another run"
    assert {record.inputs["code of model"] for record in records.values()} == {
        record.code["plugins"]["model"]["sha256"][:16] for record in records.values()
    }
    shutil.rmtree(plugin_folder / "fer_plugin")
    gone = fer_bench("evaluate", first.run_id, "--train", "--accelerator=cpu")
    assert (gone.code, "no module fer_plugin" in gone.err) == (2, True)
    assert fer_bench("verify").code == fer_bench("leaderboard").code == 0


def test_a_module_registers_names(fer_bench, plugin_folder, drawn_cache):
    (plugin_folder / "names.py").write_text(
        "import fer_bench\nfrom fer_plugin.net import TinyNet\nfer_bench.register('model', 'tiny', TinyNet)\n"
    )
    unknown = fer_bench("run", "--model=tiny", *TINY, *TRAIN)
    assert (unknown.code, "unknown model 'tiny'" in unknown.err) == (2, True)
    assert fer_bench("list", "models", "--import=names", "--contains=tiny").code == 0
    assert fer_bench("run", "--import=names", "--model=tiny", "--set=augment=none", *TINY, *TRAIN).code == 0
    (record,) = Store().records()
    assert record.code["plugins"]["model"] == {
        "name": "tiny",
        "object": "fer_plugin.net:TinyNet",
        "import": "names",
    } | {"sha256": record.code["plugins"]["model"]["sha256"]}
    wrong = fer_bench("run", "--import=nowhere", *TINY, *TRAIN)
    assert (wrong.code, "--import nowhere: there is no module nowhere" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    "flag",
    [
        "--model=nowhere:Net",
        "--dataset=nowhere:Data",
        "--loss=nowhere:loss",
        "--augment=nowhere:change",
        "--task=nowhere:TASK",
        "--dataset=fer_plugin.net:TinyNet",
    ],
)
def test_what_cannot_be_used_is_one_line_before_any_data_is_read(fer_bench, plugin_folder, own_folders, flag):
    done = fer_bench("run", flag)
    assert done.code == 2
    assert done.err.startswith("fer-bench: ")
    assert done.err.count("\n") == 1
    assert not list(own_folders.glob("cache/*"))


def test_a_record_of_a_plugin_names_no_path(fer_bench, plugin_folder, drawn_cache, own_folders):
    assert fer_bench("run", "--model=fer_plugin.net:TinyNet", "--set=augment=none", *TINY, *TRAIN).code == 0
    (file,) = (own_folders / "leaderboards").rglob("*-s0.json")
    assert str(plugin_folder) not in json.dumps(json.loads(file.read_text()))
