"""fer_bench: a benchmark suite with a leaderboard for facial-expression and affect recognition."""

__version__ = "0.1.0"
