"""``python -m fer_bench``, which is what ``fer-bench`` runs too."""

import sys


def main() -> None:
    """Entry point; an interrupt that comes while the verbs are still being imported ends in one line, as any later one
    does.
    """
    try:
        from fer_bench.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("fer-bench: stopped. Run the same command again.\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
