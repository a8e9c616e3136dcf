"""The pages of a rater: welcome, consent, instructions, one page per image, done."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from fer_bench.annotate.access import (
    BAD_LINK,
    Site,
    check_csrf,
    csrf_token,
    has_consented,
    rater_of,
    set_cookie,
    site_of,
)
from fer_bench.annotate.answers import Answer, parse_answer, parse_response_ms, questions
from fer_bench.annotate.http import read_form, single
from fer_bench.annotate.store import NO_REVISION, Rater, Slot, Status
from fer_bench.annotate.tokens import keyed_digest

_MAX_POSITION = 1_000_000
_MAX_REVISION_DIGITS = 9


def _go(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=303)


async def enter(request: Request) -> Response:
    """The personal link. It answers with a page instead of a redirect, since a browser withholds a strict cookie from a
    redirect that began elsewhere.
    """
    site = site_of(request)
    token = request.path_params["token"]
    rater = site.store.rater(token)
    if rater is None:
        raise HTTPException(404, BAD_LINK)
    response = site.pages.page("welcome.html", progress=site.store.progress(rater.rater_id))
    set_cookie(request, response, "rater", token)
    return response


async def home(request: Request) -> Response:
    """Where a rater belongs now."""
    site, rater = site_of(request), rater_of(request)
    if not has_consented(site, rater):
        return _go("/consent")
    progress = site.store.progress(rater.rater_id)
    return _go("/done" if progress.next_open is None else f"/task/{progress.next_open}")


async def show_consent(request: Request) -> Response:
    """The consent text."""
    site, rater = site_of(request), rater_of(request)
    return site.pages.page(
        "consent.html", agreed=has_consented(site, rater), csrf=csrf_token(request, "rater"), error=""
    )


async def give_consent(request: Request) -> Response:
    """Note the consent; without it nothing of the study is shown."""
    site, rater = site_of(request), rater_of(request)
    fields = await read_form(request)
    check_csrf(request, "rater", fields)
    if single(fields, "agree") != "yes":
        error = "To take part, please tick the box. If you do not want to take part, close this page."
        return site.pages.page("consent.html", status=422, agreed=False, csrf=csrf_token(request, "rater"), error=error)
    await asyncio.wrap_future(site.store.agree(rater))
    return _go("/instructions")


async def show_instructions(request: Request) -> Response:
    """The instructions; also reached from every image."""
    site, rater = site_of(request), rater_of(request)
    if not has_consented(site, rater):
        return _go("/consent")
    return site.pages.page("instructions.html", progress=site.store.progress(rater.rater_id))


async def show_task(request: Request) -> Response:
    """One image with its form."""
    site, rater = site_of(request), rater_of(request)
    if not has_consented(site, rater):
        return _go("/consent")
    slot = _reached(site, rater, request.path_params["position"])
    if slot is None or not _may_change(site, slot):
        return _go("/")
    site.store.shown(slot)
    return _task_page(request, site, slot, _chosen(slot.answer), {})


async def save_task(request: Request) -> Response:
    """Save or skip; answers only after the commit."""
    site, rater = site_of(request), rater_of(request)
    fields = await read_form(request)
    check_csrf(request, "rater", fields)
    if not has_consented(site, rater):
        return _go("/consent")
    slot = _reached(site, rater, request.path_params["position"])
    if slot is None:
        raise HTTPException(404, "There is no such picture in your session. Nothing was changed.")
    action, revision, response_ms = (
        single(fields, "action"),
        single(fields, "revision"),
        parse_response_ms(single(fields, "response_ms")),
    )
    if action not in {"save", "skip"} or not (
        revision.isascii() and revision.isdigit() and len(revision) <= _MAX_REVISION_DIGITS
    ):
        raise HTTPException(400, "The request could not be read as a form. Nothing was changed.")
    status: Status = "answered"
    answer, wrong = parse_answer(site.study.file.form, fields)
    if action == "skip":
        if not site.study.file.allow_skip:
            raise HTTPException(400, "Pictures cannot be skipped in this study. Nothing was changed.")
        answer, wrong, status = Answer(), {}, "skipped"
    if wrong:
        return _task_page(request, site, slot, fields, wrong, status=422)
    # where going back is not allowed, a second submission can only be the same one again, or a conflict
    seen = int(revision) if _may_change(site, slot) else NO_REVISION
    outcome = await asyncio.wrap_future(site.store.save(slot, answer, status, seen, response_ms))
    if outcome == "conflict":
        return site.pages.page("conflict.html", status=409, position=slot.position)
    return await home(request)


def _reached(site: Site, rater: Rater, position: int) -> Slot | None:
    """A slot the rater has reached: one that was answered or skipped, or the first that is open."""
    if position > _MAX_POSITION:
        return None
    # in this order: an answer committed between the two look-ups, from another tab, must not make the slot seem out of
    # reach
    next_open = site.store.progress(rater.rater_id).next_open
    slot = site.store.slot(rater.rater_id, position)
    return None if slot is None or (slot.status is None and position != next_open) else slot


def _may_change(site: Site, slot: Slot) -> bool:
    return site.study.file.allow_back or slot.status != "answered"


def _chosen(answer: Answer) -> dict[str, list[str]]:
    chosen: dict[str, list[str]] = {}
    for name, value in vars(answer).items():
        chosen[name] = list(value) if isinstance(value, tuple) else [] if value is None else [str(value)]
    return chosen


def _task_page(
    request: Request,
    site: Site,
    slot: Slot,
    chosen: Mapping[str, Sequence[str]],
    wrong: dict[str, str],
    status: int = 200,
) -> Response:
    practice = site.study.file.practice
    following = site.store.slot(slot.rater_id, slot.position + 1)
    return site.pages.page(
        "task.html",
        status=status,
        slot=slot,
        questions=questions(site.study.file.form),
        chosen=chosen,
        wrong=wrong,
        note=practice[slot.position].note if slot.kind == "practice" and slot.position < len(practice) else "",
        progress=site.store.progress(slot.rater_id),
        practices=len(practice),
        following=following.item_id if following else "",
        may_go_back=site.study.file.allow_back and slot.position > 0,
        csrf=csrf_token(request, "rater"),
        draft=keyed_digest(site.store.secret, "draft", str(slot.rater_id), str(slot.position), str(slot.revision)),
    )


async def image(request: Request) -> Response:
    """An image of the rater's own session, by its opaque id."""
    site, rater = site_of(request), rater_of(request)
    item_id = request.path_params["item_id"]
    found = site.store.images.get(item_id)
    if found is None or not has_consented(site, rater) or not site.store.has_item(rater.rater_id, item_id):
        raise HTTPException(404, "There is no such picture in your session.")
    return await site.pictures.response(found)


async def done(request: Request) -> Response:
    """The end, with a way back to what was skipped."""
    site, rater = site_of(request), rater_of(request)
    progress = site.store.progress(rater.rater_id)
    if not has_consented(site, rater) or progress.next_open is not None:
        return _go("/")
    return site.pages.page("done.html", progress=progress, skipped=site.store.skipped(rater.rater_id))


ROUTES = [
    Route("/", home),
    Route("/r/{token}", enter),
    Route("/consent", show_consent),
    Route("/consent", give_consent, methods=["POST"]),
    Route("/instructions", show_instructions),
    Route("/task/{position:small}", show_task),
    Route("/task/{position:small}", save_task, methods=["POST"]),
    Route("/image/{item_id}", image),
    Route("/done", done),
]
