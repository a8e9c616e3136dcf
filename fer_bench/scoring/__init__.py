"""Scores from stored predictions: NumPy only, float64, one function for every route."""
