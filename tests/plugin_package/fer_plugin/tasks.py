"""A task of classes and one of values of its own."""

import fer_bench

MOODS = fer_bench.label_set(["calm", "tense"])
PAIN = fer_bench.value_set("pain", scale=(0, 16))
