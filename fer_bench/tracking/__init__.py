"""Experiment trackers: what of a run goes to Weights & Biases, and how a tracker that fails costs nothing."""
