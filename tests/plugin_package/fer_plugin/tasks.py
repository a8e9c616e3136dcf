"""A task of classes of its own."""

import fer_bench

MOODS = fer_bench.label_set(["calm", "tense"])
