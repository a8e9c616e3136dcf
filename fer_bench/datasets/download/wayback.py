"""What the Wayback Machine of the Internet Archive kept of links that are dead."""

from __future__ import annotations

from urllib.parse import urlsplit

WAYBACK = "https://web.archive.org"
# FindingEmo's images were collected until 2023. The archive redirects to the capture that is nearest to this time;
# "if_" asks for the file as it was, without the archive's frame around it.
_WHEN = "20230101000000if_"


def archived(link: str, archive: str = WAYBACK) -> str | None:
    """The address of a link's nearest capture.

    Args:
        link: a link of the list.
        archive: where the archive is.

    Returns:
        None for a link that is itself one of an archive, or no http(s) link.
    """
    try:
        parts = urlsplit(link)
        host = parts.hostname or ""
    except ValueError:
        return None
    own = urlsplit(archive).hostname
    kept = host == "archive.org" or host.endswith(".archive.org") or (host == own and parts.path.startswith("/web/"))
    if parts.scheme not in ("http", "https") or not host or kept:
        return None
    return f"{archive}/web/{_WHEN}/{link}"
