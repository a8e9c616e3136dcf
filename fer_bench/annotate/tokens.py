"""Personal links: unguessable tokens of which the database keeps only hashes, and the keyed digests derived from its
secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def new_token() -> str:
    """256 random bits, fit for a URL: 43 characters."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What the database keeps. A token is random, so a plain SHA-256 needs neither salt nor stretching."""
    return hashlib.sha256(token.encode()).hexdigest()


def well_formed(token: str) -> bool:
    """Whether a text could be a token at all."""
    return _TOKEN.fullmatch(token) is not None


def same(first: str, second: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(first.encode(), second.encode())


def keyed_digest(secret: str, *parts: str) -> str:
    """HMAC-SHA-256 over the parts, cut to 128 bits, as 32 hexadecimal digits: image ids and CSRF tokens."""
    message = "\0".join(parts).encode()
    return hmac.new(bytes.fromhex(secret), message, hashlib.sha256).hexdigest()[:32]
