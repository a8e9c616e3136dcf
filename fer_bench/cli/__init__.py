"""The verbs of ``fer-bench``; thin."""
