"""The web application and the server that runs it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from fer_bench.annotate import admin_pages, prescreen_pages, rater_pages
from fer_bench.annotate.access import Site
from fer_bench.annotate.connections import PatientProtocol
from fer_bench.annotate.http import SECURITY_HEADERS, SecurityHeaders
from fer_bench.annotate.logs import bound_logs
from fer_bench.annotate.pages import HERE, Pages
from fer_bench.annotate.pictures import Pictures
from fer_bench.annotate.prescreen_pages import class_order
from fer_bench.annotate.store import AnswerStore
from fer_bench.annotate.study import Study
from fer_bench.errors import HardwareError

_PLAIN = {404: "There is no such page.", 405: "This page cannot be used that way. Nothing was changed."}


async def _health(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = (
        error.detail
        if error.detail.endswith(".")
        else _PLAIN.get(error.status_code, "This cannot be done. Nothing was changed.")
    )
    response: Response = request.app.state.site.pages.error(error.status_code, known)
    response.headers.update(error.headers or {})
    return response


async def _database_error(request: Request, _: Exception) -> Response:
    message = (
        "Your answer could not be saved just now. Please go back and save again: what you filled in is still there."
    )
    response: Response = request.app.state.site.pages.error(503, message)
    return response


async def _bug(request: Request, _: Exception) -> Response:
    response: Response = request.app.state.site.pages.error(
        500, "Something went wrong on our side. Answers saved before are safe. Please try again."
    )
    # this one is made outside of all middleware
    response.headers.update({**SECURITY_HEADERS, "Cache-Control": "no-store"})
    return response


def create_app(study: Study, store: AnswerStore) -> Starlette:
    """The annotation app of one study.

    Args:
        study: the study.
        store: its database; closed when the app shuts down.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        store.close()

    app = Starlette(
        routes=[
            Route("/health", _health),
            Mount("/static", StaticFiles(directory=HERE / "static")),
            *rater_pages.ROUTES,
            *admin_pages.ROUTES,
            *prescreen_pages.ROUTES,
        ],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={HTTPException: _http_error, sqlite3.Error: _database_error, Exception: _bug},
        lifespan=lifespan,
    )
    # An address with a slash too many is no page; to send it elsewhere would mean to believe the request's Host.
    app.router.redirect_slashes = False
    app.state.site = Site(study, store, Pages(study.file), Pictures())
    app.state.class_order = class_order(study, store) if study.file.prescreen else {}
    return app


def serve(study: Study, database: Path, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Run the app until interrupted.

    Args:
        study: the study.
        database: the database file; created if it is not there.
        host: address to listen on; behind anything but the own machine put a proxy that speaks HTTPS.
        port: port to listen on.

    Raises:
        BadDataError: the database cannot be used.
        SpecError: the database belongs to another study.
        HardwareError: the address cannot be listened on.
    """
    app = create_app(study, AnswerStore(study, database))
    # no access log: it would hold the tokens of personal links
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=PatientProtocol,
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    bound_logs()
    server = uvicorn.Server(config)
    # SystemExit is how it ends where it cannot begin.
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        server.run()
    if not server.started and not server.should_exit:
        problem = f"the server cannot listen on {host}:{port}."
        raise HardwareError(
            problem, "Is the port in use, or the address not this machine's? Name others with --port and --host."
        )
