"""HTML from templates, everything escaped; what would steer the text around it is shown as its number. Pure."""

from __future__ import annotations

import functools
import json
from typing import Any

from jinja2 import Environment

from fer_bench.escaping import visible
from fer_bench.html import page_templates
from fer_bench.leaderboard.formatting import URL
from fer_bench.site import addresses


@functools.cache
def _environment() -> Environment:
    environment = page_templates("fer_bench.site")
    environment.tests["address"] = lambda text: isinstance(text, str) and URL.fullmatch(text) is not None
    environment.globals.update(dataset_page=addresses.dataset, board_page=addresses.board)
    return environment


def page(template: str, address: str, docs: str, **content: Any) -> bytes:
    """A page.

    Args:
        template: its name, without ending.
        address: of the page, from the site's root.
        docs: the folder of the documentation, with a slash at its end: its address, or its place from the site's root;
            empty: no link to it.
        **content: what the template needs.
    """

    def to(target: str) -> str:
        return addresses.link(target, address)

    outside = URL.fullmatch(docs) is not None
    return (
        _environment()
        .get_template(f"{template}.html")
        .render(to=to, docs=docs if outside or not docs else "../" * address.count("/") + docs, **content)
        .encode()
    )


def script(call: str, *arguments: Any) -> bytes:
    """Data as a script, which also a page that was opened as a file can load.

    Args:
        call: the function of the site's scripts that takes it.
        *arguments: the data.
    """
    # In ASCII, no encoding and no separator of lines can be taken for another.
    texts = [json.dumps(_visible(argument), separators=(",", ":"), allow_nan=False) for argument in arguments]
    return f"{call}({','.join(texts)});\n".encode("ascii")


def _visible(found: Any) -> Any:
    if isinstance(found, str):
        return visible(found)
    if isinstance(found, dict):
        return {_visible(key): _visible(value) for key, value in found.items()}
    return [_visible(value) for value in found] if isinstance(found, list | tuple) else found
