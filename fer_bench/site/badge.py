"""A row's badge: board, score and rank as a small picture; pure."""

from __future__ import annotations

from html import escape

from fer_bench.escaping import one_line

# Width of a character at 11 px, on the wide side; what is written is fitted to it.
_CHARACTER, _PADDING, _HEIGHT = 6.6, 8, 20
_LONGEST = 60
_LEFT, _RIGHT = "#3d444d", "#0b5cad"


def badge(left: str, right: str) -> str:
    """An SVG picture of two words.

    Args:
        left: what is measured, on grey.
        right: the result, on blue.
    """
    texts = [_short(one_line(text)) for text in (left, right)]
    widths = [round(_CHARACTER * len(text)) + 2 * _PADDING for text in texts]
    name = escape(": ".join(texts))
    parts = []
    for text, width, x, colour in zip(texts, widths, (0, widths[0]), (_LEFT, _RIGHT), strict=True):
        parts.append(
            f'<rect x="{x}" width="{width}" height="{_HEIGHT}" fill="{colour}"/>'
            f'<text x="{x + _PADDING}" y="14" textLength="{width - 2 * _PADDING}">{escape(text)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{sum(widths)}" height="{_HEIGHT}" role="img"'
        f' aria-label="{name}"><title>{name}</title><g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif"'
        f' font-size="11">{"".join(parts)}</g></svg>\n'
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
