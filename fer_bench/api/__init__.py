"""The public API as functions; :mod:`fer_bench` offers each of them under its own name.

They do what the verbs of ``fer-bench`` do, on the same store, and raise the same errors
(:class:`fer_bench.errors.FerBenchError`), which say what is wrong and what to do next. PyTorch is imported only by
those that need it, when they are called.
"""

from fer_bench.api.loading import label_set as label_set
from fer_bench.api.loading import load_dataset as load_dataset
from fer_bench.api.loading import load_model as load_model
from fer_bench.api.loading import predict as predict
from fer_bench.api.loading import value_set as value_set
from fer_bench.api.runs import evaluate as evaluate
from fer_bench.api.runs import run as run
from fer_bench.api.scores import compare as compare
from fer_bench.api.scores import leaderboard as leaderboard
from fer_bench.api.scores import score as score
from fer_bench.api.scores import verify as verify
from fer_bench.api.submissions import evaluate_model as evaluate_model
from fer_bench.api.submissions import images as images
from fer_bench.api.submissions import submit as submit
from fer_bench.api.submissions import template as template

__all__ = [
    "compare",
    "evaluate",
    "evaluate_model",
    "images",
    "label_set",
    "leaderboard",
    "load_dataset",
    "load_model",
    "predict",
    "run",
    "score",
    "submit",
    "template",
    "value_set",
    "verify",
]
