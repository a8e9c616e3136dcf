"""Every suite of a paper to its end, from the command line, on copies in the real layouts: the paper's networks, heads
and recipes, with one epoch, small images, two folds and no pretrained weights.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from fer_bench.spec import read_yaml
from fer_bench.synthetic.population import SynthConfig, generate
from tests.datasets.fakes_va import write_afew_va, write_semaine
from tests.datasets.test_affectnet_module import write_lists
from tests.fakes import make_faces, make_votes, write_csv, write_votes
from tests.training.conftest import ROOT

ANNOTATIONS, LANDMARKER = (os.environ.get(f"FER_BENCH_{name}") for name in ("FINDINGEMO_ANNOTATIONS", "LANDMARKER"))
# In this order: what one suite tests elsewhere or builds on, another has trained. With the side of images in pixels;
# None where the dataset's own is small; 66 px is the least that all networks on FindingEmo take.
PAPERS = {
    "five_layer_cnn": None,
    "autoencoder": None,
    "cnn_ensembles": 32,
    "afew_va": 32,
    "semaine": 32,
    "generalisation": 32,
    "affectnet_resnet50": 32,
    "findingemo_baselines": None,
    "findingemo_paper_split": None,
    "findingemo_finetuning": 66,
    "findingemo_fusion": 48,
}
# What the papers' tables have columns for, by board: the thesis' Tables 2 to 4, FindingEmo's 5 to 12 (8 to 11 of single
# classes, 6, 8 and 10 of the training split), the accuracies of the others. AffectNet's mean squared error is RMSE's
# square.
VALUES = {f"{of} {measure}" for of in ("Valence", "Arousal") for measure in ("RMSE", "PCC", "ICC(3,1)")}
ACCURACY = {"Accuracy %"}
HEADS = {"Weighted F1 %", "Macro-AP %"}
EMO8 = {"joy", "trust", "fear", "surprise", "sadness", "disgust", "anger", "anticipation"}
FINDINGEMO = {"emo8": HEADS | EMO8, "arousal3": HEADS | {"low", "high"}, "valence3": HEADS | {"negative", "positive"}}
CLEAN = {f"findingemo-{task}": columns for task, columns in FINDINGEMO.items()}
PAPER = {f"{board}-paper": columns for board, columns in CLEAN.items()}
COLUMNS = {
    "five_layer_cnn": {"fer2013-fer7": ACCURACY, "ferplus-fer8": ACCURACY},
    "autoencoder": {"fer2013-fer7": ACCURACY},
    "cnn_ensembles": {"fer2013-fer7": ACCURACY},
    "afew_va": {"afew_va-va": VALUES, "afew_va-va-frames": VALUES},
    "semaine": {"semaine-va": VALUES, "semaine-va-frames": VALUES},
    "generalisation": {"semaine-va": VALUES, "afew_va-va": VALUES},
    "affectnet_resnet50": {"affectnet-fer8": ACCURACY, "affectnet-valence": {"Valence RMSE"}},
    "findingemo_baselines": CLEAN,
    "findingemo_paper_split": PAPER,
    "findingemo_finetuning": CLEAN | PAPER,
    "findingemo_fusion": CLEAN,
}
SHRUNK = {"epochs": 1, "early_stopping": 0, "unfreeze_every": 1, "weights": "none", "seeds": [0]}
IMAGENETS = ("alexnet", "vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "resnet101", "densenet121", "densenet161")
BACKBONES = (
    *IMAGENETS,
    "emonet-kragel",
    *(f"{name}-places365" for name in ("alexnet", "resnet18", "resnet50", "densenet161")),
)
pytestmark = pytest.mark.proof


def shrink(content, side):
    """A suite with the same runs, small."""
    if isinstance(content, list):
        return [shrink(part, side) for part in content]
    if not isinstance(content, dict):
        return content
    found = {key: SHRUNK[key] if key in SHRUNK else shrink(value, side) for key, value in content.items()}
    if "image_size" in found and side:
        found["image_size"] = side
    if found.get("method") == "two_stage":
        found["epochs"] = 2
        found["method_options"] = {**found["method_options"], "reconstruction_epochs": 1}
    if "folds" in found:
        found["folds"] = 2
    if {"width", "height"} <= set(found):
        found |= {"width": 88, "height": 66}
    return found


def write_small(suite, side, folder):
    content = shrink(read_yaml(ROOT / f"benchmarks/suites/{suite}.yaml"), side)
    if suite.startswith("findingemo") and suite != "findingemo_finetuning":
        # Heads: all of them, for few epochs each.
        content["defaults"] |= {"weights": dict.fromkeys(BACKBONES, "none"), "max_epochs": 2, "seeds": [0, 1]}
        options = content["defaults"].get("dataset_options", {})
        content["defaults"]["dataset_options"] = {"width": 88, "height": 66, **options}
    if suite in ("afew_va", "semaine", "generalisation", "affectnet_resnet50"):
        # Weights that nobody trained take larger steps than ImageNet's do.
        content["defaults"]["gradient_clip"] = 1.0
    if suite == "affectnet_resnet50":
        # Of a single epoch the first is the last, which has a name of its own.
        content["defaults"]["epochs"] = 2
    path = folder / f"{suite}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def write_findingemo(root, n=240):
    """Photographs of noise under the paths of published annotations."""
    lines = Path(ANNOTATIONS).read_text().splitlines()
    root.mkdir(parents=True)
    step = (len(lines) - 1) // n
    chosen = lines[1::step][:n]
    (root / "annotations_single.ann").write_text("\n".join([lines[0], *chosen]) + "\n")
    rng = np.random.default_rng(0)
    for line in chosen:
        path = root / line.split(",")[2].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (60, 80, 3), dtype=np.uint8))


def headings(page):
    """Titles of the columns of all tables of a board."""
    lines = page.splitlines()
    rules = [i for i, line in enumerate(lines) if line.startswith("| ---")]
    return {cell.strip() for i in rules for cell in lines[i - 1].strip("| ").split("|")}


def findable_face():
    """RGB; the face landmarker finds it, unlike the rectangles of other tests."""
    drawn = generate(SynthConfig(n_train=1, n_validation=0, n_test=0)).images[0]
    framed = cv2.copyMakeBorder(
        cv2.resize(drawn, (240, 240), interpolation=cv2.INTER_CUBIC), *[8] * 4, cv2.BORDER_REPLICATE
    )
    return cv2.cvtColor(framed, cv2.COLOR_GRAY2RGB)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("papers")
    data, faces = folder / "data", make_faces(per_class=(12, 4, 4))
    write_csv(data / "fer2013", faces)
    write_votes(data / "ferplus", faces, make_votes(faces))
    write_afew_va(data / "afew_va")
    # Enough people, and seconds, for two folds and batches of 50.
    write_semaine(data / "semaine", sessions=8, seconds=8, subjects=8, picture=findable_face())
    write_lists(data / "affectnet")
    if ANNOTATIONS:
        write_findingemo(data / "findingemo")
    return folder


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("suite", PAPERS)
def test_a_paper_runs_to_its_end(suite, home):
    if suite.startswith("findingemo") and not ANNOTATIONS:
        pytest.skip("FER_BENCH_FINDINGEMO_ANNOTATIONS names no file of annotations")
    if suite in ("semaine", "generalisation", "findingemo_fusion") and not LANDMARKER:
        pytest.skip("FER_BENCH_LANDMARKER names no face landmarker")
    file = write_small(suite, PAPERS[suite], home)
    places = {name: str(home / name.lower()) for name in ("RUNS", "CACHE", "LEADERBOARDS", "DATA")}
    environment = {
        **os.environ,
        **{f"FER_BENCH_{name}": place for name, place in places.items()},
        "FER_BENCH_HOME": str(home),
    }

    def ask(*more):
        command = [sys.executable, "-m", "fer_bench", "suite", str(file), "--accelerator", "cpu", *more]
        return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)

    done = ask()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    listed = ask("--dry-run").stdout
    assert " 0 to do." in listed, listed
    assert "  to do" not in listed, listed
    if suite not in ("afew_va", "semaine"):
        # Checkpoints of large networks; those of these two are tested on each other's data.
        shutil.rmtree(home / "runs", ignore_errors=True)
    for board, columns in COLUMNS[suite].items():
        page = (home / "leaderboards" / f"{board}.md").read_text()
        assert columns <= headings(page), board
        if suite in ("findingemo_baselines", "findingemo_paper_split"):
            # Heads are scored on what they were trained on, too.
            assert "## On the training split" in page, board
