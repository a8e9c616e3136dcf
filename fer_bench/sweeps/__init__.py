"""Suites: many runs from one file, minus what the store has."""
