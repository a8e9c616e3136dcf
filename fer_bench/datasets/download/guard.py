"""Where a download may connect to: public addresses, and of this machine's network only what was asked for.

A list of links comes from strangers, and so do the redirects of the servers that it names. Addresses are judged when a
connection is made, from what the name resolves to at that moment, so that neither a name nor a number in another
notation hides one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import urllib.request
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack

import httpcore
import httpx

MAX_URL = 8000  # characters; servers take as many
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # IPv4 behind NAT64

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedLinkError(Exception):
    """A link that is not followed.

    Args:
        reason: for the table of what is missing.
        permanent: it is none on any machine, with any setting.
    """

    def __init__(self, reason: str, permanent: bool = True) -> None:
        self.permanent = permanent
        super().__init__(reason)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, and not of this machine, its network, or reserved.

    Args:
        address: IPv4 or IPv6; an IPv6 address that holds an IPv4 address is judged by that.
    """
    ip = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or getattr(ip, "is_site_local", False))


def _unwrapped(ip: _Address) -> _Address:
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _TRANSLATED:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)


def parse_link(text: str) -> httpx.URL:
    """Read a link of a list.

    Raises:
        RefusedLinkError: it is no URL that an image can be fetched from.
    """
    if len(text) > MAX_URL:
        reason = f"longer than {MAX_URL} characters"
        raise RefusedLinkError(reason)
    try:
        url = httpx.URL(text)
        host = url.host
    except Exception as error:  # InvalidURL, UnicodeError, IDNAError, ValueError: whatever the text provokes
        reason = "not a URL"
        raise RefusedLinkError(reason) from error
    if url.scheme not in ("http", "https") or not host:
        reason = "not an http(s) URL"
        raise RefusedLinkError(reason)
    _check_parts(url)
    return url


def check_hop(url: httpx.URL, listed: httpx.URL, allow_private: bool) -> None:
    """Judge a request by its URL: the first one, or one that a server redirects to.

    An address of this machine or its network is asked for where the list itself names it plainly (``127.0.0.1``,
    ``192.168.0.7``, ``localhost``); no other server is followed there. What names resolve to is judged when a
    connection is made.

    Args:
        url: of the request.
        listed: the link that the list gives.
        allow_private: every address is asked for.

    Raises:
        RefusedLinkError: it is not followed.
    """
    try:
        scheme, host = url.scheme, url.host.rstrip(".")
    except Exception as error:
        reason = "redirects to what is not a URL"
        raise RefusedLinkError(reason) from error
    if scheme not in ("http", "https") or not host:
        reason = "redirects to something else than http(s)"
        raise RefusedLinkError(reason)
    _check_parts(url)
    if allow_private or not _is_local(host):
        return
    origin = (url.scheme, url.host, url.port)
    if not (_is_plain(host) and origin == (listed.scheme, listed.host, listed.port)):
        reason = f"leads to {host}, which is not a public address"
        raise RefusedLinkError(reason, permanent=False)


def _check_parts(url: httpx.URL) -> None:
    if url.userinfo:
        reason = "a URL with a user name"
        raise RefusedLinkError(reason)
    if url.port is not None and not 0 < url.port < 2**16:
        reason = f"there is no port {url.port}"
        raise RefusedLinkError(reason)


def _is_localhost(host: str) -> bool:
    return host.lower() == "localhost" or host.lower().endswith(".localhost")


def _is_local(host: str) -> bool:
    """Whether a host is, without asking anyone, known not to be public."""
    try:
        return not is_public(host)
    except ValueError:
        pass
    try:
        return not is_public(socket.inet_ntoa(socket.inet_aton(host)))  # 2130706433, 0x7f.1, 017700000001
    except (OSError, ValueError):
        return _is_localhost(host)


def _is_plain(host: str) -> bool:
    """Whether a local host says in its usual notation that it is this machine or one of a private network."""
    if _is_localhost(host):
        return True
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (
        (ip.is_loopback or ip.is_private)
        and _unwrapped(ip) == ip
        and not (ip.is_link_local or ip.is_unspecified or ip.is_reserved)
    )


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves names itself and connects to an address that was judged, so that a second answer for the name changes
    nothing.
    """

    def __init__(self, allow_private: bool) -> None:
        self.allow_private = allow_private
        self.inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # httpcore
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._addresses(host, port, timeout)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                share = timeout and timeout / len(addresses)
                return await self.inner.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # httpcore
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        await self.inner.sleep(seconds)

    async def _addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            pass
        else:
            return [host]  # judged by check_hop
        try:
            async with asyncio.timeout(timeout):
                answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            reason = f"{host} was not resolved in time"
            raise httpcore.ConnectTimeout(reason) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        except UnicodeError as error:
            reason = "not the name of a host"
            raise RefusedLinkError(reason) from error
        addresses = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
        allowed = [
            address
            for address in addresses
            if self.allow_private or _is_localhost(host.rstrip(".")) or is_public(address)
        ]
        if addresses and not allowed:
            reason = f"{host} leads to {addresses[0]}, which is not a public address"
            raise RefusedLinkError(reason, permanent=False)
        return allowed[:4]


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self.answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self.answer.aiter_stream():
            yield chunk

    async def aclose(self) -> None:
        await self.answer.aclose()


class _GuardedTransport(httpx.AsyncBaseTransport):
    def __init__(self, certificates: ssl.SSLContext, connections: int, allow_private: bool) -> None:
        self.pool = httpcore.AsyncConnectionPool(
            ssl_context=certificates,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=5.0,
            network_backend=_GuardedBackend(allow_private),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        answer = await self.pool.handle_async_request(
            httpcore.Request(
                request.method, target, headers=request.headers.raw, content=b"", extensions=request.extensions
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions)

    async def aclose(self) -> None:
        await self.pool.aclose()


class Clients:
    """Clients that make guarded connections, or go through the proxy that the environment names (which then resolves
    the names).

    Redirects are not followed; every hop is a separate request.

    Args:
        connections: at the same time.
        timeout: seconds to connect, or between two pieces of an answer.
        headers: of every request.
        certificates: trusted ones.
        allow_private: connect to any address.
    """

    def __init__(
        self,
        connections: int,
        timeout: float,
        headers: dict[str, str],
        certificates: ssl.SSLContext,
        allow_private: bool,
    ) -> None:
        self.direct = httpx.AsyncClient(
            transport=_GuardedTransport(certificates, connections, allow_private),
            timeout=timeout,
            headers=headers,
            trust_env=False,
        )
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self.proxied = {
            scheme: httpx.AsyncClient(
                proxy=proxy, verify=certificates, timeout=timeout, headers=headers, trust_env=False, limits=limits
            )
            for scheme in ("http", "https")
            if (proxy := _proxy(scheme))
        }

    def of(self, url: httpx.URL) -> httpx.AsyncClient:
        """The client for a URL."""
        proxied = self.proxied.get(url.scheme)
        return proxied if proxied and not urllib.request.proxy_bypass(url.host) else self.direct

    async def __aenter__(self) -> Clients:
        self._open = AsyncExitStack()
        for client in (self.direct, *self.proxied.values()):
            await self._open.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()


def _proxy(scheme: str) -> str | None:
    found = urllib.request.getproxies()
    proxy = found.get(scheme) or found.get("all") or ""
    proxy = proxy if "://" in proxy or not proxy else f"http://{proxy}"
    return proxy if proxy.startswith(("http://", "https://")) else None
