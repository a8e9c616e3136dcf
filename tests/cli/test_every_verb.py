"""Every verb, through the real command line, over every kind of record and over an empty store: the right answer, or
one clear line and exit code 2."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from dataclasses import dataclass

import pytest
import torch
import typer

from fer_bench.cli.main import app
from tests.cli.every_kind import SIZES, make_home
from tests.live.fakes import SquareDetector, write_video
from tests.studies.test_findingemo_study import HEADER as FINDINGEMO_HEADER

TINY = [f"--set=dataset_options.{key}={value}" for key, value in SIZES.items()] + [
    "--set=model_options.width=2",
    "--set=precision=32-true",
]
TRAIN = [*TINY, "--epochs=1", "--batch-size=14", "--accelerator=cpu"]
CPU = "--accelerator=cpu"
KINDS = (
    "fer7",
    "second",
    "tta",
    "va",
    "valence",
    "folds",
    "fold",
    "vafolds",
    "vafold",
    "probe",
    "ensemble",
    "evaluated",
    "vaevaluated",
    "relabelled",
    "human",
    "external",
)
# Another is so like each of these that verbs which only read try them in `make proofs`.
LIKE_ANOTHER = ("second", "valence", "fold", "vafold", "vaevaluated", "relabelled", "external")
CLASSES = (
    "fer7",
    "second",
    "tta",
    "folds",
    "fold",
    "probe",
    "ensemble",
    "evaluated",
    "relabelled",
    "human",
    "external",
)
NETWORKS = ("fer7", "tta", "va", "valence", "fold", "vafold")

WRITING = ("run", "suite", "probe", "fuse", "evaluate", "ensemble", "human-baseline", "rescore", "submit")

NO_TEACHER = {
    "ensemble": "is an ensemble.*Name its members as teachers",
    "folds": "is a cross-validation",
    "evaluated": "is of kind 'evaluated'",
    "va": "has other classes: its task is va",
    "fold": "is judged by synthfaces-fer7",
}


@dataclass(frozen=True)
class Case:
    """One command: what it gets, and what it must say.

    Args:
        arguments: behind the verb; names in braces are run ids and paths of the home.
        says: regular expressions of the output (of the one line, where it refuses).
        code: the exit code.
    """

    arguments: tuple[str, ...]
    says: tuple[str, ...] = ()
    code: int = 0


def case(*arguments, says=(), code=0):
    return Case(arguments, (says,) if isinstance(says, str) else tuple(says), code)


def refused(*arguments, says):
    return case(*arguments, says=says, code=2)


NO_NETWORK = {
    "folds": "is a cross-validation: it has 2 networks, one per fold.*Choose one of its folds",
    "vafolds": "is a cross-validation: it has 2 networks",
    "probe": "is of kind 'probe'",
    "evaluated": r"is of kind 'evaluated'.*Choose the run that it tests",
    "vaevaluated": "is of kind 'evaluated'",
    "relabelled": "is of kind 'evaluated'",
    "human": "is of kind 'human'",
    "external": "is of kind 'external'",
}


def of_networks(*arguments, kinds=NETWORKS, says=(), also=()):
    """The right answer for runs with a network, one line for the rest."""
    fill = lambda kind: tuple(argument.replace("RUN", f"{{{kind}}}") for argument in arguments)  # noqa: E731
    return [
        *(case(*fill(kind), says=says) for kind in (*kinds, *also)),
        *(refused(*fill(kind), says=text) for kind, text in NO_NETWORK.items() if kind not in also),
    ]


def reported(kinds):
    return [case(f"{{{kind}}}", says="report .*report.html") for kind in kinds]


def by_class(kinds):
    return [case(f"{{{kind}}}", "--by=class", says="gap: .*") for kind in kinds]


LISTED = {
    "datasets": "afew_va",
    "models": "resnet18",
    "tasks": r"valence +valence\n",
    "losses": "cross_entropy",
    "metrics": "mcc +MCC, of classes, more is better",
    "label-losses": "weighted_l2",
    "value-losses": "ccc",
    "optimizers": "adamw",
    "schedules": "cosine",
    "augmentations": "standard",
    "protocols": "afew_va-va",
    "suites": "generalisation",
    "recipes": "generalisation/thesis",
    "runs": "{ensemble}",
}

# Over the home with every kind of record.
CASES = {
    "run": [
        case(*TRAIN, says="synthfaces-fer7 five_layer_cnn: 0"),
        case(*TRAIN, "--task=arousal", says="synthfaces-arousal five_layer_cnn: "),
        case(*TRAIN, "--folds=2", "--fold-by=frame", "--task=va", says="pooled ccc"),
        case(*TRAIN, "--labels={crowd}", says="synthfaces-fer7"),
        refused(*TRAIN, "--labels={answers}", says=r"answers\.csv"),
        refused(*TRAIN, "--task=va", "--labels={crowd}", says="labels"),
        refused(
            *TRAIN,
            "--task=va",
            "--set=loss=mse",
            "--set=label_smoothing=0",
            "--set=cutmix=1",
            says="cutmix = 1: the values of two halves of a face",
        ),
        refused(*TRAIN, "--set=augment=rand_faces", "--set=augment_on=loader", says="augment_on=device"),
        refused(*TRAIN, "--set=optimizer_options.sam=-1", says="the radius must be a positive number"),
        refused(*TRAIN, "--set=method=distill", says="needs the ids of one or more trained runs"),
        *(
            refused(*TRAIN, "--set=method=distill", f"--set=method_options.teachers={{{name}}}", says=why)
            for name, why in NO_TEACHER.items()
        ),
        refused("--weights={images}/0.png", says="not a readable checkpoint"),
        refused("--model=resnet18", "--weights={checkpoint}", says="of another architecture"),
        refused("--wandb=sometimes", says="wandb"),
        refused("--strategy=dpp", says="unknown strategy 'dpp'"),
        refused("--set=optimizer_options.beta=1", says="optimizer_options"),
        refused("--set=schedule_options.warm=1", says="schedule_options"),
        refused("--set=loss_options.gama=1", says="loss_options"),
        refused("--set=method=multitask", says="needs a network with a decoder"),
    ],
    "tune": [
        case(*TRAIN, "--budget=1", "--search=lr=1e-3:1e-2:log", says="test it     fer-bench run --use tuned/"),
        case(*TRAIN, "--dry-run", says="batch_size: "),
        case(*TRAIN, "--task=va", "--loss=mse", "--dry-run", says="in protocol synthfaces-va"),
        case(*TRAIN, "--folds=2", "--fold-by=frame", "--dry-run", says="on the first fold"),
        refused(*TRAIN, "--search=seed=0,1", says="is not searched for"),
        refused(*TRAIN, "--search=lr", says="expected KEY=VALUES"),
        refused(*TRAIN, "--space=none.yaml", says=r"none\.yaml"),
        refused(*TRAIN, "--set=method=distill", "--set=method_options.teachers=[{fer7}]", says="has no test split"),
    ],
    "suite": [
        case("{suite}", says="1 run, 1 done, 0 to do"),
        case("{vasuite}", says="synthfaces-valence"),
        case("{probes}", "--dry-run", says="fer2013-fer7"),
        case("{probes}", CPU, says="leaderboard"),
        refused("{suite}", "--only=zzz", says="--only 'zzz' matches no run"),
        refused("{probes}", "--only=zzz", says="matches no grid"),
        refused("{badsuite}", says=r"bad\.yaml.*unknown model 'five_layer_cnm'.*Did you mean 'five_layer_cnn'"),
        refused("zzz", says="unknown suite 'zzz'"),
        refused("{deep}", says=r"deep\.yaml.*nested too deeply"),
    ],
    "probe": [
        case("{probes}", CPU, says="leaderboard"),
        case("--dataset=fer2013", "--run={va}", "--lr=0.01", "--seeds=0", "--epochs=1", CPU, says="fer2013-fer7"),
        refused("{suite}", says="is a suite of runs.*fer-bench suite"),
        case("--dataset=afew_va", "--task=va", "--run={fer7}", "--loss=ridge", CPU, says=r"penalty 1 .*ridge .*ccc"),
        refused("--dataset=afew_va", "--task=va", "--run={fer7}", "--loss=cross_entropy", says="is for classes"),
        refused("--dataset=fer2013", "--run={fer7}", "--loss=mse", says="is for values"),
        refused("--dataset=fer2013", "--backbone=resnet19", says="unknown model 'resnet19'"),
        refused("--dataset=fer2031", "--backbone=resnet18", says="unknown dataset"),
        refused("--dataset=fer2013", "--backbone=resnet18", "--weights=none.pth", says="no such file"),
        refused("--dataset=fer2013", "--backbone=resnet18", "--weights=resnet81=none.pth", says="resnet81"),
        refused("--dataset=fer2013", "--backbone=resnet18", "--loss=cross", says="unknown loss of a probe"),
        refused("--dataset=fer2013", "--run={folds}", says="cross-validation"),
        *(
            refused("--dataset=fer2013", f"--run={{{kind}}}", says="has no trained network")
            for kind in ("ensemble", "probe", "evaluated", "human")
        ),
        refused(says="probe needs a backbone"),
    ],
    "fuse": [
        case(
            "features:run:{fer7}",
            "predictions:run:{second}",
            "--dataset=fer2013",
            "--lr=0.01",
            "--seeds=0",
            "--epochs=1",
            CPU,
            says="fer2013-fer7",
        ),
        case(
            "features:run:{fer7}",
            "predictions:run:{va}",
            "--dataset=afew_va",
            "--task=valence",
            "--loss=ridge",
            CPU,
            says="late fusion, chosen on validation",
        ),
        refused("feature:resnet18", "predictions:resnet18", "--dataset=fer2013", says="unknown stream 'feature'"),
        refused("features:resnet19", "features:resnet18", "--dataset=fer2013", says="unknown model 'resnet19'"),
    ],
    "evaluate": [
        refused("--model=onnx:none.onnx", "--dataset=fer2013", says=r"there is no file none\.onnx"),
        refused("--model=tf:net", "--on=fer2013", says="no model from outside.*onnx:FILE"),
        refused("--model=onnx:none.onnx", says="is tested on a dataset.*--dataset"),
        refused("--on=fer2013", says="needs a run id, or --model"),
        refused("{fer7}", "--model=onnx:none.onnx", "--on=fer2013", says="both a run"),
        refused("{fer7}", "--on=fer2013", "--normalization=unit", says="belong to --model"),
        *(
            case(f"{{{kind}}}", "--on=synthfaces", CPU, says="its own record")
            for kind in (*NETWORKS, "folds", "vafolds")
        ),
        *(
            case(f"{{{kind}}}", "--on=fer2013", CPU, says=r"accuracy 0\.\d+ on 28 test")
            for kind in ("fer7", "fold", "folds", "tta")
        ),
        *(
            case(f"{{{kind}}}", "--on=afew_va", CPU, says=r"CCC -?0\.\d+ on 12 test")
            for kind in ("va", "valence", "vafolds", "vafold")
        ),
        *(
            refused(f"{{{kind}}}", "--on=fer2013", says="is of kind")
            for kind in ("probe", "ensemble", "evaluated", "relabelled", "human")
        ),
        *(
            case(f"{{{kind}}}", "--train", CPU, says="accuracy 0.* training samples")
            for kind in ("fer7", "tta", "fold")
        ),
        *(
            case(f"{{{kind}}}", "--train", CPU, says="CCC -?0.* training samples")
            for kind in ("va", "valence", "vafold")
        ),
        *(refused(f"{{{kind}}}", "--train", says=text) for kind, text in NO_NETWORK.items() if kind != "probe"),
        case("{probe}", "--train", says="training samples"),
        *(
            case(f"{{{kind}}}", "--labels={crowd}", says="accuracy 0.* on 28 test")
            for kind in ("fer7", "tta", "ensemble")
        ),
        *(
            refused(f"{{{kind}}}", "--labels={crowd}", says="only classes can be relabelled")
            for kind in ("va", "valence", "vafolds", "vaevaluated")
        ),
        refused("{relabelled}", "--labels={crowd}", says="is judged by the labels of crowd.csv already"),
        refused("{fer7}", "--on=zzz", says="unknown dataset 'zzz'"),
        refused("{fer7}", "--on=fer2013", "--task=zzz", says="unknown task 'zzz'"),
        refused("{va}", "--on=fer2013", "--task=fer7", says="cannot be scored as fer7"),
        refused(
            "{fer7}", "--on=synthfaces", "--task=va", says="only label sets can be mapped.*Choose a task of classes"
        ),
        refused(
            "{fer7}",
            "--on=synthfaces",
            "--set=dataset_options.n_test=3",
            says="without dataset_options.n_test = 3.*Leave --set out",
        ),
        refused(
            "{va}",
            "--on=synthfaces",
            "--task=valence",
            "--set=dataset_options.n_test=3",
            says="without dataset_options.n_test = 3",
        ),
        *(case(f"{{{kind}}}", "--corruptions", CPU, says=r"accuracy .* corrupted") for kind in ("fer7",)),
        *(refused(f"{{{kind}}}", "--corruptions", says=text) for kind, text in NO_NETWORK.items()),
        refused("{ensemble}", "--corruptions", says="is of kind 'ensemble'"),
        *by_class(kind for kind in CLASSES if kind not in LIKE_ANOTHER),
        *(
            case(f"{{{kind}}}", "--by=brightness", says="thirds of the test images")
            for kind in ("fer7", "va", "folds", "vafolds", "vafold", "ensemble")
        ),
        *(
            case(f"{{{kind}}}", "--by=contrast", says="thirds of the test images")
            for kind in ("probe", "evaluated", "vaevaluated", "relabelled", "human")
        ),
        *(
            case(f"{{{kind}}}", "--by=identity", says="as the dataset says")
            for kind in ("tta", "valence", "fold", "vaevaluated")
        ),
        *(case(f"{{{kind}}}", "--by=frequency", says="rare: ") for kind in ("fer7", "folds", "evaluated", "human")),
        case("{va}", "--by=pose", "--csv={out}/pose.csv", "--png={out}/pose.png", says="yaw"),
        refused("{va}", "--by=frequency", says="predicts values"),
        refused("{va}", "--by=class", says="unknown attribute.*(identity|Did you mean)"),
        refused("{fer7}", "--by=zzz", says="unknown attribute of test samples 'zzz'.*brightness, class, clip"),
        refused("{fer7}", "--on=fer2013", "--csv=a.csv", says="belong to --corruptions and --by"),
        refused("{fer7}", says="one of --on, --labels, --train, --corruptions and --by"),
        refused("{fer7}", "--labels=none.csv", says=r"none\.csv"),
    ],
    "cross-dataset": [
        case(says="matrix/five_layer_cnn.md"),
        case("--model=five_layer_cnn", says="page"),
        refused("--model=zzz", says="unknown model 'zzz'"),
        refused("--model=resnet18", says="'resnet18' has no finished run.*five_layer_cnn"),
    ],
    "predict": [
        *of_networks("{images}", "--run=RUN", CPU, says=r"2\.png: .*\d\.\d+", also=("ensemble", "probe")),
        case("{images}", "--run={onnx}", CPU, says="valence -?0"),
        refused("{images}", "--run=zzz", says="no record matches 'zzz'"),
        refused("{images}", "--run=none.onnx", says="there is no file none.onnx"),
        refused("nowhere", "--run={fer7}", says="no file or folder nowhere"),
    ],
    "live": [
        *of_networks(
            "--run=RUN", "--source={video}", "--headless", CPU, says="3 frames, a face in", also=("ensemble", "probe")
        ),
        case("--run={onnx}", "--source={video}", "--headless", CPU, says="3 frames"),
        refused("--run=zzz", says="no record matches 'zzz'"),
    ],
    "export": [
        *of_networks(
            "RUN",
            "--onnx={out}/net.onnx",
            "--images={images}",
            kinds=("fer7", "va", "valence", "fold"),
            says="checked with ONNX Runtime on 3",
        ),
        case(
            "{tta}",
            "--onnx={out}/net.onnx",
            "--images={images}",
            says=r"without the 2 views.*answers as run {fer7} does",
        ),
        refused("{ensemble}", "--onnx={out}/net.onnx", says="is of kind 'ensemble'"),
        refused("{fer7}", "--onnx=net.txt", says="does not end in .onnx"),
    ],
    "ensemble": [
        case("--protocol=synthfaces-fer7", "--members={fer7},{second}", says="gain "),
        case("--protocol=synthfaces-fer7", says=r"on validation\n"),
        case("--protocol=synthfaces-fer7", "--selection=greedy", says="on validation, which it was fitted to"),
        refused("--protocol=synthfaces-va", says="at least two members"),
        refused("--protocol=synthfaces-va", "--compare", says="at least two members"),
        case("--protocol=synthfaces-fer7", "--compare", says="members; accuracy on validation"),
        refused("--protocol=synthfaces-fer7", "--members={fer7},{va}", says="is of the protocol synthfaces-va"),
        refused(
            "--protocol=synthfaces-fer7", "--model=zzz", says="--model 'zzz' matches no trained run.*five_layer_cnn"
        ),
        refused("--protocol=synthfaces-fer7", "--recipe=zzz", says="--recipe 'zzz' matches"),
        refused("--protocol=synthfaces-fer7", "--seed=7", says="--seed '7' matches"),
        refused("--protocol=synthfaces-fer7", "--rule=zzz", says="unknown rule 'zzz'"),
        refused("--protocol=zzz", says="unknown protocol 'zzz'"),
    ],
    "human-baseline": [
        case("ferplus", says="one vote against the majority"),
        refused("fer2013", says="unknown dataset with votes of single people 'fer2013'.*ferplus"),
    ],
    "submit": [
        case("{submission}", "--protocol=fer2013-fer7", "--name=Net", says="accuracy .* on 28 test.*on record already"),
        case("{submission}", "--protocol=fer2013-fer7", "--name=Other", says="accuracy .* on 28 test samples"),
        refused(
            "{submission}", "--protocol=fer2013-fer7", "--name=Net", "--parameters=3", says="on record as.*--force"
        ),
        case("{submission}", "--protocol=fer2013-fer7", "--name=Net", "--parameters=3", "--force", says="accuracy"),
        refused("{submission}", "--protocol=ferplus-fer8", "--name=Net", says="no column for contempt"),
        refused("{submission}", "--protocol=afew_va-va", "--name=Net", says="no column 'valence'"),
        refused("{submission}", "--protocol=zzz", "--name=Net", says="unknown protocol 'zzz'"),
        refused("none.csv", "--protocol=fer2013-fer7", "--name=Net", says=r"none\.csv: cannot be read"),
        refused("{answers}", "--protocol=fer2013-fer7", "--name=Net", says=r"the column 'rater' is no class"),
    ],
    "template": [
        case("fer2013-fer7", "{out}/a.csv", says="28 images to answer, by angry, disgust"),
        case("afew_va-va", "{out}/b.csv", says="12 images to answer, by valence, arousal"),
        case("synthfaces-fer7-labels-crowd", "{out}/c.csv", says="ids from    the record"),
        case("ferplus-fer8-via-fer7", "{out}/d.csv", says="images to answer, by angry, disgust"),
        refused("fer2013-fer7", "{out}/a.csv", says="exists"),
        refused("zzz", says="unknown protocol 'zzz'"),
        refused("semaine-va", says="dataset 'semaine': found no"),
    ],
    "images": [
        case("fer2013-fer7", "{out}/images", says="28 images"),
        refused("fer2013-fer7", "{out}/images", says="not an empty folder"),
        case("ferplus-fer8-via-fer7", "{out}/more", says="images?, and their ids in"),
        refused("zzz", "{out}/more", says="unknown protocol 'zzz'"),
    ],
    "report": [
        *reported(kind for kind in KINDS if kind not in LIKE_ANOTHER),
        *(
            case(protocol, says="report")
            for protocol in (
                "synthfaces-fer7",
                "synthfaces-va",
                "synthfaces-valence",
                "synthfaces-va-frames",
                "afew_va-va",
            )
        ),
        refused("zzz", says="no record matches 'zzz'"),
        refused("semaine-va", says="no finished run"),
    ],
    "reproduce": [
        *(case(f"{{{kind}}}", CPU, says="bit for bit") for kind in ("fer7", "tta", "valence", "vafolds")),
        case("{probe}", CPU, says="verdict     trained again"),
        case("{ensemble}", CPU, says="follows from its members"),
        refused("{evaluated}", says="another run trained"),
        refused("{human}", says="people answered"),
        refused("{external}", says="another program made"),
    ],
    "weights": [
        case("{fer7}", "{va}", "--out={out}", "--address=https://example.org/1", says=r"weights\.yaml"),
        refused("{folds}", "--out={out}", "--address=https://example.org/1", says=NO_NETWORK["folds"]),
        refused("{human}", "--out={out}", "--address=https://example.org/1", says="has no trained network"),
    ],
    "card": [
        *(
            case(f"{{{kind}}}", says=["model-index", "## Scores", "that of this package"])
            for kind in ("fer7", "va", "tta")
        ),
        case("{fer7}", "--out={out}/card.md", "--to=hf:lab/net", "--licence=mit", says=r"card .*card\.md"),
        refused("{folds}", says=NO_NETWORK["folds"]),
        refused("{human}", says="has no trained network"),
        refused("{fer7}", "--to=lab/net", says="names no repository.*hf:ORG/NAME"),
    ],
    "push": [
        case("{va}", "hf:lab/net", "--dry-run", says=["model.safetensors", "model.onnx", "nothing was pushed"]),
        case("{tta}", "hf:lab/net", "--out={out}/net", "--no-onnx", says=["config.json", "nothing was pushed"]),
        refused("{tta}", "hf:lab/net", "--out={images}", says="holds other things"),
        refused("{fold}", "hf:lab/net", says="HF_TOKEN is not set"),
        refused("{human}", "hf:lab/net", "--yes", says="has no trained network"),
        refused("{ensemble}", "hf:lab/net", "--yes", says="Push its members one by one"),
    ],
    "cost": [
        *(
            case(f"{{{kind}}}", "--counted", says="multiply-adds for one face")
            for kind in ("fer7", "tta", "va", "folds")
        ),
        case("five_layer_cnn", "--counted", "--image-size=48", says="x 48 x 48"),
        case("--all", "--counted", says="networks? in"),
        refused("{ensemble}", "--counted", says="Measure its members"),
        refused("{human}", "--counted", says="kind human"),
        refused(says="takes one run or network"),
    ],
    "leaderboard": [case(says="boards"), case("--check", says="up to date"), case("--all", "--processes=1")],
    "site build": [
        case("--out={out}/site", says=r"files \d+, .* changed"),
        case("--out={out}/site", "--docs=docs", says="changed"),
        refused("--out={images}", says="is not empty, and holds no site"),
        refused("--out={submission}", says="is a file, and a site is a folder"),
    ],
    "verify": [
        case(says="no difference"),
        case("synthfaces-va", says="no difference"),
        case("--all", "--processes=1", says="recomputed from their predictions.* no difference"),
        refused("zzz", says="unknown protocol with records 'zzz'"),
    ],
    "rescore": [
        *(
            case(f"{{{kind}}}", says=r"cohen_kappa, mcc added to \d+ records?, 0 lack nothing")
            for kind in ("fer7", "folds", "ensemble", "probe", "human")
        ),
        case("{va}", says="nothing added to 0 records, 1 lack nothing"),
        case("{fer7}", says="nothing added to 0 records, 1 lack nothing"),
        case("--protocol=synthfaces-fer7", says="cohen_kappa, mcc added to 2 records"),
        case(says=r"cohen_kappa, mcc added to \d+ records?"),
        case(says="nothing added to 0 records"),
        refused("zzz", says="no record matches 'zzz'"),
        refused("--protocol=zzz", says="unknown protocol with records 'zzz'"),
        refused("{fer7}", "--protocol=synthfaces-fer7", says="a run or a protocol, not both"),
    ],
    "compare": [
        case("{fer7}", "{second}", "--given-networks", says=r"paired bootstrap over \d+ groups of samples"),
        case("{fer7}", "{second}", says="as they are, because no row of their board has several seeds|training again"),
        case("{va}", "{va}", says="are not significantly different|no significant"),
        case("{fer7}", "{ensemble}", says="p = "),
        case("{fer7}", "{tta}", says="p = "),
        case("{folds}", "{folds}", says="p = "),
        case("{vafolds}", "{vafolds}", says="p = "),
        refused("{fer7}", "{va}", says="cannot be compared: the label set differs"),
        refused("{va}", "{valence}", says="cannot be compared"),
        refused("{fer7}", "{evaluated}", says="cannot be compared"),
        refused("{fer7}", "zzz", says="no record matches 'zzz'"),
    ],
    "list": [
        *(case(what, says=name) for what, name in LISTED.items()),
        refused("models", "--contains=zzz", says="--contains 'zzz' matches no name"),
        refused("zzz", says="unknown list 'zzz'"),
    ],
    "doctor": [case(says=["fer_bench", r"disk +trainings .*clean --runs"])],
    "clean": [
        refused(says="nothing is named that should be removed.*--dry-run"),
        refused("--runs", says="nobody can answer here.*--yes"),
        refused("--runs", "--older-than=soon", says="'soon' is not an age.*30d"),
        case("--runs", "--older-than=9w", says="there is nothing to remove"),
        case("--all", "--dry-run", says=["trainings", "decoded copies", r"would remove \d+ entries"]),
        case("--all", "--yes", says=r"removed \d+ entries"),
    ],
    "audit": [
        case("fer2013", says="140 samples"),
        case("ferplus", says="contempt"),
        case("afew_va", says=r"valence -?\d"),
        case("afew_va", "--task=va", says=r"arousal -?\d.*standard deviation"),
        case("afew_va", "--task=arousal", says=r"arousal -?\d"),
        refused("afew_va", "--task=fer7", says="has no labels for the task 'fer7'.*va"),
        refused("zzz", says="unknown dataset 'zzz'"),
        refused("fer2013", "--task=zzz", says="unknown task 'zzz'"),
    ],
    "pack": [
        refused("fer2013", says="not decoded from files.*nothing to pack"),
        refused("afew_va", "--check", says="no packed copy.*fer-bench pack afew_va"),
        refused("fer2013", "--dataset-options=decode=full", says="has no option 'decode'"),
        refused("afew_va", "--image-size=4", says="image_size = 4: .*8"),
        refused("zzz", says="unknown dataset 'zzz'"),
    ],
    "download": [
        refused("zzz", "--urls=x.json", says="unknown downloadable dataset 'zzz'"),
        refused("findingemo", "--urls=x.json", says=r"x\.json"),
        refused("findingemo", "--urls=x.json", "--dry-run", says=r"x\.json"),
        refused("findingemo", "--manifest=none.csv", says=r"none\.csv: no such manifest"),
    ],
    "study findingemo": [
        case("{annotations}", says="page"),
        refused("none.ann", says=r"none\.ann"),
    ],
    "study reannotation": [
        case(
            "{answers}", *(f"--predictions={{{kind}}}" for kind in ("fer7", "va", "valence", "ensemble")), says="page"
        ),
        refused("none.csv", says=r"none\.csv"),
        refused("{answers}", "--predictions=zzz", says="no record matches 'zzz'"),
        refused("{answers}", "--reference=zzz.csv", says=r"zzz\.csv: no such reference"),
        refused("{answers}", "--label-set=zzz", says="unknown label set 'zzz'"),
    ],
    "study simulated": [case(says="page")],
    "annotate init": [
        case("{out}/study.yaml", says="wrote"),
        case("{out}/new/folder/study.yaml", says="wrote"),
        case("{out}/scenes.yaml", "--form=findingemo", says="wrote"),
    ],
    "annotate images": [
        case("fer2013", "--out={out}/i", says="wrote 28 images"),
        refused("afew_va", "--out={out}/i", says="has no classes"),
        refused("zzz", "--out={out}/j", says="unknown dataset 'zzz'"),
    ],
    "annotate links": [
        case("{study}", "--raters=1", says="http"),
        refused("none.yaml", "--raters=1", says=r"none\.yaml"),
        refused("{deep}", says="deep.yaml"),
    ],
    "annotate serve": [case("{study}", says="listening"), refused("none.yaml", says=r"none\.yaml")],
    "annotate export": [refused("none.yaml", "--out={out}/a.csv", says="none")],
    "annotate prescreen": [refused("none.yaml", "--out={out}/a.csv", says=r"none\.yaml")],
}

# Over a store without any record, where a verb looks into it.
EMPTY = {
    "suite": [case("five_layer_cnn", "--dry-run", says="0 done")],
    "site build": [refused("--out={out}/site", says="there is nothing to show.*fer-bench run")],
    "probe": [refused("--dataset=fer2013", "--run=abc", says="no record matches 'abc'")],
    "fuse": [refused("features:run:abc", "features:run:abd", "--dataset=fer2013", says="no record matches 'abc'")],
    "evaluate": [
        refused("abc", f"--{how}", says="no record matches 'abc'")
        for how in ("on=fer2013", "train", "corruptions", "by=class")
    ],
    "cross-dataset": [
        refused(says="has no finished run.*fer-bench run"),
        refused("--model=zzz", says="unknown model 'zzz'"),
    ],
    "predict": [refused("{images}", "--run=abc", says="no record matches 'abc'")],
    "live": [refused("--run=abc", says="no record matches 'abc'")],
    "export": [refused("abc", "--onnx=a.onnx", says="no record matches 'abc'")],
    "ensemble": [
        refused("--protocol=fer2013-fer7", says="at least two members"),
        refused("--protocol=fer2013-fer7", "--model=x", says="It is empty"),
    ],
    "report": [refused("abc", says="no record matches 'abc'"), refused("fer2013-fer7", says="no finished run")],
    "submit": [refused("{submission}", "--protocol=semaine-va", "--name=Net", says="dataset 'semaine': found no")],
    "template": [case("ferplus-fer8-via-fer7", says="25 images to answer, by angry, disgust")],
    "images": [refused("semaine-va", "{out}", says="dataset 'semaine': found no")],
    "reproduce": [refused("abc", says="no record matches 'abc'")],
    "weights": [refused("abc", "--out=x", "--address=https://example.org", says="no record matches 'abc'")],
    "card": [refused("abc", says="no record matches 'abc'")],
    "push": [refused("abc", "hf:lab/net", "--dry-run", says="no record matches 'abc'")],
    "cost": [
        refused("abc", says="no record matches 'abc'"),
        case("--all", says="0 networks"),
        refused("five_layer_cnn", "--accelerator", "abacus", says="execution.accelerator = 'abacus'"),
        refused("--all", "--protocol", "nowhere", says="--protocol 'nowhere' matches no board"),
        refused("--all", "--image-size", "48", says="--image-size is for one network"),
    ],
    "rescore": [refused(says="no record was found"), refused("abc", says="no record matches 'abc'")],
    "compare": [refused("abc", "abd", says="no record matches 'abc'")],
    "list": [case("runs")],
    "doctor": [case(says="not there yet")],
    "clean": [case("--runs", "--yes", says="there is nothing to remove")],
    "study reannotation": [refused("{answers}", "--predictions=abc", says="no record matches 'abc'")],
}


def verbs(group=None, before=()):
    """All verbs that the help shows, those of groups with their group's name."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from verbs(command, (*before, name))
        else:
            yield " ".join((*before, name))


def test_every_verb_has_cases():
    assert set(CASES) == set(verbs())


@pytest.mark.parametrize(("before", "now"), [("humans", "human-baseline"), ("matrix", "cross-dataset")])
def test_a_verb_that_was_renamed_answers_to_its_old_name_too(before, now, fer_bench):
    shown = fer_bench("--help").out
    assert re.search(rf"^\W*{now} ", shown, re.MULTILINE)
    assert not re.search(rf"^\W*{before} ", shown, re.MULTILINE)
    commands = typer.main.get_command(app).commands
    assert commands[before].callback.__wrapped__ is commands[now].callback.__wrapped__
    options = [fer_bench(name, "--help").out.replace(name, "") for name in (before, now)]
    assert options[0] == options[1], "the common options too"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("every_kind")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cache", "runs", "leaderboards", "data"):
            patch.setenv(f"FER_BENCH_{name.upper()}", str(folder / name))
        ids = make_home(folder)
    yield folder, ids
    torch.set_num_threads(before)


@pytest.fixture
def home(built, own_folders):
    """The home, copied to where a test may change it; gives what the cases name."""
    folder, ids = built
    shutil.copytree(folder, own_folders, dirs_exist_ok=True)
    places = {"crowd": "crowd.csv", "answers": "answers.csv", "images": "images", "out": "out"}
    names = ids | {name: str(own_folders / place) for name, place in places.items()}
    (own_folders / "out").mkdir()
    names["checkpoint"] = str(own_folders / "runs" / ids["va"] / "best.ckpt")
    tiny = (
        f"dataset: synthfaces, dataset_options: {SIZES}, model_options: {{width: 2}}, epochs: 1, batch_size: 14,"
        " precision: 32-true"
    )
    texts = {
        "suite": f"seeds: [0]\nruns:\n  - {{{tiny}}}\n",
        "vasuite": f"seeds: [3]\nruns:\n  - {{{tiny}, task: valence, loss: mse}}\n",
        "badsuite": f"runs:\n  - {{{tiny}, seed: 9}}\n  - {{{tiny}, model: five_layer_cnm}}\n",
        "probes": (
            f"probes:\n  - {{dataset: fer2013, task: fer7, streams: ['features:run:{ids['fer7']}'], lr: [0.01], loss:"
            " [cross_entropy], seeds: [0]}\n"
        ),
        "deep": f"runs: {'[' * 5000}{']' * 5000}\n",
    }
    for name, text in texts.items():
        path = own_folders / f"{name.removesuffix('suite') or 'mine'}.yaml"
        path.write_text(text)
        names[name] = str(path)
    return names


def fill(text, names):
    return re.sub(r"\{(\w+)\}", lambda found: str(names.get(found[1], found[0])), text)


def check(done, wanted, names):
    assert "Traceback" not in done.out + done.err
    assert done.code == wanted.code, done.out + done.err
    if wanted.code == 2:
        lines = [line for line in done.err.strip().split("\n") if not line.startswith(("[", "W0", "I0", "no display"))]
        assert len(lines) == 1, done.err
        assert lines[0].startswith("fer-bench: ")
    shown = done.err if wanted.code == 2 else done.out
    for part in wanted.says:
        assert re.search(fill(part, names), shown, re.DOTALL), (part, shown)


@pytest.fixture
def stand_ins(monkeypatch, own_folders):
    """For MediaPipe, for the web server, and for what takes long."""

    @contextlib.contextmanager
    def open_detector(*_, **__):
        yield SquareDetector()

    monkeypatch.setattr("fer_bench.faces.detector.open_detector", open_detector)
    monkeypatch.setattr("fer_bench.faces.detector.landmarker_file", lambda *_: "none")
    monkeypatch.setattr("uvicorn.Server.run", lambda self, *_: setattr(self, "started", True))
    from fer_bench.studies import reannotation
    from fer_bench.studies.reannotation import recovery

    simulated, annotated = recovery.study_simulated, reannotation.study_reannotation
    monkeypatch.setattr(
        recovery, "study_simulated", lambda out: simulated(out, n_raters=4, n_images=40, n_resamples=10)
    )
    monkeypatch.setattr(
        reannotation, "study_reannotation", lambda *arguments, **more: annotated(*arguments, **more, n_resamples=10)
    )
    return own_folders


def of_before(value, scores=False):
    """A file of records as it was before they had Cohen's kappa and MCC."""
    if isinstance(value, list):
        return [of_before(inner, scores) for inner in value]
    if not isinstance(value, dict):
        return value
    kept = {
        key: inner
        for key, inner in value.items()
        if key != "metrics_version" and not (scores and key in ("cohen_kappa", "mcc"))
    }
    return {key: of_before(inner, scores or key in ("metrics", "validation_metrics")) for key, inner in kept.items()}


def prepare(verb, names, folder, fer_bench):
    """What only some verbs need."""
    if verb == "rescore":
        for path in (folder / "leaderboards").rglob("*.json"):
            path.write_text(json.dumps(of_before(json.loads(path.read_text()))))
    if verb == "live":
        names["video"] = str(write_video(folder / "v.mp4", 3))
    if verb in ("live", "predict"):
        names["onnx"] = str(folder / "net.onnx")
        assert fer_bench("export", names["va"], "--onnx", names["onnx"], "--images", names["images"]).code == 0
    if verb == "study findingemo":
        rows = [
            f"{i},u{i % 3},/Run/x/{i // 3}.jpg,Keep,,\"['Adults']\",1,2,Joy,\"['Staging']\",1,False,2022-01-01"
            for i in range(9)
        ]
        path = folder / "annotations.ann"
        path.write_text("\n".join([FINDINGEMO_HEADER, *rows]) + "\n")
        names["annotations"] = str(path)
    if verb.startswith("annotate"):
        fer_bench("annotate", "init", folder / "study.yaml")
        names["study"] = str(folder / "study.yaml")


REST = {
    "report": reported(LIKE_ANOTHER),
    "evaluate": by_class(kind for kind in CLASSES if kind in LIKE_ANOTHER),
}


@pytest.mark.parametrize(
    ("verb", "cases"),
    [
        *(pytest.param(verb, CASES[verb], id=verb) for verb in sorted(CASES)),
        *(pytest.param(verb, REST[verb], id=f"{verb}, the rest", marks=pytest.mark.proof) for verb in sorted(REST)),
    ],
)
def test_over_every_kind_of_record(verb, cases, home, stand_ins, fer_bench, monkeypatch):
    monkeypatch.chdir(stand_ins)
    prepare(verb, home, stand_ins, fer_bench)
    problems = []
    for wanted in cases:
        arguments = [fill(argument, home) for argument in wanted.arguments]
        try:
            check(fer_bench(*verb.split(), *arguments), wanted, home)
        except Exception as error:  # what a user would see as a traceback
            problems.append(f"{' '.join((verb, *wanted.arguments))}: {type(error).__name__}: {error}")
        except AssertionError as error:
            problems.append(f"{' '.join((verb, *wanted.arguments))}: {error}")
    assert not problems, "\n\n".join(problems)
    if verb in WRITING:
        assert fer_bench("verify").code == 0, "whatever a verb has written follows from its predictions"


@pytest.mark.parametrize("verb", sorted(EMPTY))
def test_over_an_empty_store(verb, home, stand_ins, fer_bench, monkeypatch):
    monkeypatch.chdir(stand_ins)
    for name in ("leaderboards", "runs"):
        shutil.rmtree(stand_ins / name)
    for wanted in EMPTY[verb]:
        check(fer_bench(*verb.split(), *(fill(argument, home) for argument in wanted.arguments)), wanted, home)
    assert not list((stand_ins / "leaderboards").rglob("*.json"))
