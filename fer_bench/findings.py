"""What pydantic finds wrong with a setting, in plain words: nobody is shown a regular expression."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import AfterValidator


def like(pattern: str, expected: str) -> AfterValidator:
    """A check of the form of a text, for use in ``Annotated``.

    Args:
        pattern: a regular expression that matches the whole text.
        expected: what it stands for, in words; the error says it.
    """
    form = re.compile(pattern)

    def check(text: str) -> str:
        if not form.fullmatch(text):
            message = f"expected {expected}"
            raise ValueError(message)
        return text

    return AfterValidator(check)


def reason(found: Mapping[str, Any]) -> str:
    """One entry of ``ValidationError.errors()`` as the end of a sentence, without its full stop."""
    text = found["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{text[:1].lower()}{text[1:]}"
