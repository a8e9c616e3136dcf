"""Pre-screening: loop fast through the images of a class and mark the confusing ones, until enough are chosen."""

from __future__ import annotations

import asyncio
import random

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from fer_bench.annotate.access import BAD_LINK, Site, check_csrf, csrf_token, require_staff, set_cookie, site_of
from fer_bench.annotate.http import read_form, single
from fer_bench.annotate.store import AnswerStore
from fer_bench.annotate.study import Study

_BATCH = 60
_NOT_HERE = "There is no such page."


def class_order(study: Study, store: AnswerStore) -> dict[str, list[str]]:
    """Item ids per class, each class shuffled once, so that the first hundred are not all of the first film or folder.

    Args:
        study: the study; images without a label are left out.
        store: knows the ids.
    """
    order: dict[str, list[str]] = {name: [] for name in study.label_names()}
    for image in study.main:
        if image.label:
            order[image.label].append(store.item_id(image))
    for name, items in order.items():
        random.Random(f"{study.file.seed}:prescreen:{name}").shuffle(items)
    return order


def _screening(request: Request) -> tuple[Site, dict[str, list[str]], int]:
    site = site_of(request)
    if site.study.file.prescreen is None:
        raise HTTPException(404, _NOT_HERE)
    require_staff(request, "screener")
    return site, request.app.state.class_order, site.study.file.prescreen.per_class


def _class(request: Request, order: dict[str, list[str]]) -> tuple[str, list[str]]:
    index: int = request.path_params["class_index"]
    if index >= len(order):
        raise HTTPException(404, _NOT_HERE)
    return list(order.items())[index]


def _number(text: str, below: int) -> int:
    """A place in a class; whatever is no number or too large becomes the nearest one that is."""
    return min(int(text), below - 1) if text.isascii() and text.isdigit() and len(text) <= 9 else 0


async def enter(request: Request) -> Response:
    """The screener's link."""
    site = site_of(request)
    token = request.path_params["token"]
    if site.study.file.prescreen is None or not site.store.staff_may("screener", token):
        raise HTTPException(404, BAD_LINK)
    response = site.pages.page("staff_welcome.html", target="/prescreen", what="pre-screening of images")
    set_cookie(request, response, "screener", token)
    return response


async def classes(request: Request) -> Response:
    """All classes, with how many images are chosen."""
    site, order, limit = _screening(request)
    chosen = list(site.store.marks().values())
    lines = [(index, name, len(items), chosen.count(name)) for index, (name, items) in enumerate(order.items())]
    return site.pages.page("prescreen_classes.html", lines=lines, limit=limit)


async def screen(request: Request) -> Response:
    """One image of a class, where the screener was or at ``?at=``."""
    site, order, limit = _screening(request)
    name, items = _class(request, order)
    at = request.query_params.get("at")
    place = site.store.screened_to(name) if at is None else _number(at, len(items))
    place = min(place, len(items) - 1)
    site.store.remember_place(name, place)
    marks = site.store.marks()
    chosen = sum(label == name for label in marks.values())
    index, item = request.path_params["class_index"], items[place]
    csrf = csrf_token(request, "screener")
    return site.pages.page(
        "prescreen.html",
        name=name,
        index=index,
        place=place,
        total=len(items),
        item=item,
        marked=item in marks,
        chosen=chosen,
        limit=limit,
        csrf=csrf,
    )


async def batch(request: Request) -> Response:
    """The next images of a class and whether they are marked, for fast looping."""
    site, order, _ = _screening(request)
    name, items = _class(request, order)
    start = _number(request.query_params.get("from", "0"), len(items))
    marks = site.store.marks()
    site.store.remember_place(name, start)
    return JSONResponse(
        {"from": start, "items": [{"id": item, "marked": item in marks} for item in items[start : start + _BATCH]]}
    )


async def mark(request: Request) -> Response:
    """Mark or unmark an image."""
    site, order, limit = _screening(request)
    name, items = _class(request, order)
    fields = await read_form(request)
    check_csrf(request, "screener", fields)
    item, chosen, place = single(fields, "item"), single(fields, "chosen"), _number(single(fields, "at"), len(items))
    if item not in items or chosen not in {"yes", "no"} or fields:
        raise HTTPException(400, "This image cannot be marked. Nothing was changed.")
    count = await asyncio.wrap_future(site.store.mark(item, name, chosen == "yes", limit))
    site.store.remember_place(name, place)
    wants_json = "application/json" in request.headers.get("accept", "")
    if count is None:
        message = f"{limit} images of this class are chosen already. Unmark one to choose another."
        return JSONResponse({"error": message}, status_code=409) if wants_json else site.pages.error(409, message)
    if wants_json:
        return JSONResponse({"chosen": count})
    return RedirectResponse(f"/prescreen/{request.path_params['class_index']}?at={place}", status_code=303)


async def image(request: Request) -> Response:
    """An image of the study, for the screener only."""
    site, _, _ = _screening(request)
    found = site.store.images.get(request.path_params["item_id"])
    if found is None:
        raise HTTPException(404, "There is no such picture.")
    return await site.pictures.response(found)


ROUTES = [
    Route("/prescreen/enter/{token}", enter),
    Route("/prescreen", classes),
    Route("/prescreen/image/{item_id}", image),
    Route("/prescreen/{class_index:small}", screen),
    Route("/prescreen/{class_index:small}/batch", batch),
    Route("/prescreen/{class_index:small}/mark", mark, methods=["POST"]),
]
