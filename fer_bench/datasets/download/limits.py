"""What a download may cost others and this machine."""

from __future__ import annotations

from dataclasses import dataclass

from fer_bench.errors import SpecError


@dataclass(frozen=True)
class DownloadLimits:
    """Rates, timeouts and sizes.

    Args:
        concurrency: requests at the same time, each to another host.
        host_interval: seconds between the starts of two requests to one host.
        host_failures: requests in a row that a host leaves unanswered before it is asked no more.
        idle_timeout: seconds to connect, or between two pieces of an answer.
        total_timeout: seconds for one answer.
        max_bytes: of one image, compressed or not.
        max_redirects: of one link.
        allow_private: also connect to addresses of this machine and its network; otherwise only those that the list
            itself names plainly, never through a redirect.
    """

    concurrency: int = 32
    host_interval: float = 1.0
    host_failures: int = 3
    idle_timeout: float = 20.0
    total_timeout: float = 120.0
    max_bytes: int = 50 * 2**20
    max_redirects: int = 5
    allow_private: bool = False

    def __post_init__(self) -> None:
        if (
            min(self.concurrency, self.max_bytes, self.host_failures) < 1
            or min(self.idle_timeout, self.total_timeout) <= 0
            or min(self.host_interval, self.max_redirects) < 0
        ):
            problem = f"download limits must be positive: {self}."
            raise SpecError(problem)
