"""``python -m fer_bench``: the same as ``fer-bench``."""

from fer_bench.cli.main import main

if __name__ == "__main__":
    main()
