"""Who is asking: the token of a link becomes a cookie that scripts cannot read and other sites cannot send."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fer_bench.annotate.http import single
from fer_bench.annotate.pages import Pages
from fer_bench.annotate.pictures import Pictures
from fer_bench.annotate.store import AnswerStore, Rater, Role
from fer_bench.annotate.study import Study
from fer_bench.annotate.tokens import keyed_digest, same, token_hash

_THIRTY_DAYS = 30 * 86_400
NO_LINK = (
    "To see this page, open the personal link you were given. If you have opened it before, open it again: it takes you"
    " back to where you left off."
)
BAD_LINK = (
    "This link is not valid. Please check that you opened it completely, or ask the person who sent it for a new one."
)


@dataclass(frozen=True)
class Site:
    """What every route needs."""

    study: Study
    store: AnswerStore
    pages: Pages
    pictures: Pictures

    def cookie(self, role: str) -> str:
        """Cookie name: two studies on one host do not log each other out."""
        return f"annotate-{self.study.file.name}-{role}"


def site_of(request: Request) -> Site:
    """The site a request goes to."""
    site: Site = request.app.state.site
    return site


def set_cookie(request: Request, response: Response, role: str, token: str) -> None:
    """Let the browser remember a token."""
    response.set_cookie(
        site_of(request).cookie(role),
        token,
        max_age=_THIRTY_DAYS,
        path="/",
        secure=request.scope["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )


def rater_of(request: Request) -> Rater:
    """The rater whose cookie came with a request.

    Raises:
        HTTPException: 401, there is none or it is not valid (any more).
    """
    site = site_of(request)
    rater = site.store.rater(request.cookies.get(site.cookie("rater"), ""))
    if rater is None:
        raise HTTPException(401, NO_LINK)
    return rater


def has_consented(site: Site, rater: Rater) -> bool:
    """Whether the rater agreed to the present consent text."""
    return rater.consent_digest == site.study.consent_digest()


def require_staff(request: Request, role: Role) -> None:
    """Let only the holder of a role's token pass.

    Raises:
        HTTPException: 401.
    """
    site = site_of(request)
    if not site.store.staff_may(role, request.cookies.get(site.cookie(role), "")):
        raise HTTPException(401, NO_LINK)


def csrf_token(request: Request, role: str) -> str:
    """Proof that a form was made for this person: a keyed digest of their token."""
    site = site_of(request)
    return keyed_digest(site.store.secret, "csrf", role, token_hash(request.cookies.get(site.cookie(role), "")))


def check_csrf(request: Request, role: str, fields: dict[str, list[str]]) -> None:
    """Take the proof out of a form and check it.

    Raises:
        HTTPException: 403, the form was not made for this person.
    """
    if not same(single(fields, "csrf"), csrf_token(request, role)):
        raise HTTPException(
            403,
            "This page belongs to another link that was opened in this browser. Nothing was saved. Please open your"
            " personal link again.",
        )
