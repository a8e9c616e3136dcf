"""Studies that are not training runs: statistics of datasets and annotations."""
