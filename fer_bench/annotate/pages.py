"""HTML from templates, with everything escaped that comes from a study file or a rater."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from fer_bench.annotate.forms import SAM_POINTS
from fer_bench.annotate.sam import arousal_figure, arousal_word, valence_figure, valence_word
from fer_bench.annotate.study import StudyFile
from fer_bench.annotate.wheel import wheel_svg
from fer_bench.labels import EMO8, EMO24

HERE = Path(__file__).parent
_POINTS = range(1, SAM_POINTS + 1)


def paragraphs(text: str) -> Markup:
    """Plain text as HTML: blank lines part paragraphs, lines beginning with ``- `` become a list."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in block.splitlines()]
        if all(line.startswith("- ") for line in lines):
            items = Markup("").join(Markup("<li>{}</li>").format(line[2:]) for line in lines)
            blocks.append(Markup("<ul>{}</ul>").format(items))
        else:
            blocks.append(Markup("<p>{}</p>").format(Markup(" ").join(escape(line) for line in lines)))
    return Markup("\n").join(blocks)


def signed(number: str) -> str:
    """An integer with its sign, with a minus as wide as the plus."""
    return f"{int(number):+d}".replace("-", "\N{MINUS SIGN}") if int(number) else "0"


class Pages:
    """Renders the templates of one study.

    Args:
        file: the study file, whose title and language are on every page.
    """

    def __init__(self, file: StudyFile) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["paragraphs"] = paragraphs
        self._environment.filters["signed"] = signed
        self._environment.globals.update(
            study=file,
            valence_scale=[(point, Markup(valence_figure(point)), valence_word(point)) for point in _POINTS],
            arousal_scale=[(point, Markup(arousal_figure(point)), arousal_word(point)) for point in _POINTS],
            wheel=Markup(wheel_svg()),
            leaves=[(name, EMO24.names[3 * index : 3 * index + 3]) for index, name in enumerate(EMO8.names)],
        )

    def page(self, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """Render a template.

        Args:
            template: file name below ``templates/``.
            status: HTTP status.
            **context: what the template needs.
        """
        return HTMLResponse(self._environment.get_template(template).render(context), status_code=status)

    def error(self, status: int, message: str) -> HTMLResponse:
        """A page that says what went wrong; it names nothing of the study, since anybody may see it."""
        return self.page("error.html", status=status, code=status, message=message)
