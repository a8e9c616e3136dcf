"""Leaderboards: pure functions of the records."""
