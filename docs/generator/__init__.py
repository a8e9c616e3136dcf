"""Writes the reference pages of the documentation from the code: ``python -m docs.generator`` in the checkout.

They are committed, so that they can be read where the code is; ``tests/docs/test_reference.py`` says when they are out
of date.
"""
