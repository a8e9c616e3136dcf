"""Pages from templates, everything escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_bench.escaping import visible

if TYPE_CHECKING:
    from jinja2 import Environment


def page_templates(package: str) -> Environment:
    """The templates of a package, for HTML: a missing value is an error, and values are escaped; what would turn the
    letters around it is shown as its number.

    Args:
        package: the dotted name of the package that has a folder ``templates``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Values, not the templates' own text.
    environment.finalize = lambda value: (
        visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
    )
    return environment
