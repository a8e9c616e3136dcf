"""What every request and response goes through: a limit on bodies, security headers, and the reading of forms."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 32_768
BODY_SECONDS = 30.0
_MAX_FIELDS = 200

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "X-Robots-Tag": "noindex, nofollow",
}


class SmallNumber(Convertor[int]):
    """A number in a path; of more than nine digits, one that is too large for anything here: Python refuses to read
    more than 4,300 of them.
    """

    regex = "[0-9]+"

    def convert(self, value: str) -> int:
        """The number."""
        return int(value) if len(value) <= 9 else 10**9

    def to_string(self, value: int) -> str:
        """Its digits."""
        return str(value)


register_url_convertor("small", SmallNumber())


class SecurityHeaders:
    """Add the security headers to every response, and ``no-store`` where the route says nothing about caching."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers)


async def read_body(request: Request) -> bytes:
    """The body of a request, never holding more than the limit of it, nor waiting longer.

    Raises:
        HTTPException: 413, the body is too large; 408, it takes too long; 400, it was broken off.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isascii() or not announced.isdigit() or len(announced) > 12 or int(announced) > MAX_BODY_BYTES:
        raise HTTPException(413, "The request is too large. Nothing was changed.", headers={"Connection": "close"})
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise HTTPException(
                        413, "The request is too large. Nothing was changed.", headers={"Connection": "close"}
                    )
    except TimeoutError:
        raise HTTPException(
            408, "The request did not arrive in time. Nothing was changed.", headers={"Connection": "close"}
        ) from None
    except ClientDisconnect:
        raise HTTPException(
            400, "The request was interrupted. Nothing was changed.", headers={"Connection": "close"}
        ) from None
    return bytes(body)


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a submitted form: values per name, in the order sent.

    Raises:
        HTTPException: 413 too large, 415 not a plain form (files cannot be uploaded), 400 malformed.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise HTTPException(
            415, "Only the forms on these pages are accepted. Nothing was changed.", headers={"Connection": "close"}
        )
    body = await read_body(request)
    try:
        return parse_qs(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise HTTPException(400, "The request could not be read as a form. Nothing was changed.") from None


def single(fields: dict[str, list[str]], name: str) -> str:
    """Take a field that may be sent once out of a form; empty if it was not sent.

    Raises:
        HTTPException: 400, it was sent more than once.
    """
    values = fields.pop(name, [])
    if len(values) > 1:
        raise HTTPException(400, "The request could not be read as a form. Nothing was changed.")
    return values[0] if values else ""
