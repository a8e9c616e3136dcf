"""``python -m fer_bench``: the same as ``fer-bench``."""

import sys

from fer_bench.cli.main import main

if __name__ == "__main__":
    sys.argv[0] = "fer-bench"
    main()
