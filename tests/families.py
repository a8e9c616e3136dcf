"""Networks come in families, the first of which stands for it in the quick tests."""

import pytest


def one_a_family(names):
    """Parameters of a test: the first name of each family, which four letters tell; all others are proofs."""
    first = {name[:4]: name for name in reversed(list(names))}.values()
    return [pytest.param(name, marks=() if name in first else pytest.mark.proof) for name in names]
