"""Hyperparameter search on validation, through Optuna."""
