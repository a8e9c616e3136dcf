"""A repository's files from the Hugging Face hub: out of its cache, where they are there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fer_bench.errors import WeightsError
from fer_bench.models.hub import hub_or_explain
from fer_bench.packages import require


def endpoint() -> str | None:
    """The hub's address, which ``HF_ENDPOINT`` names; None: the usual one."""
    return os.environ.get("HF_ENDPOINT") or None


def hub_folder(
    repository: str, patterns: Sequence[str], hint: str, *, revision: str | None = None, needed: Sequence[str] = ()
) -> Path:
    """The folder of a repository's files, downloaded where the hub's cache (``HF_HUB_CACHE``) lacks them.

    Args:
        repository: ``ORG/NAME``.
        patterns: of the files.
        hint: what to do where they cannot be had.
        revision: a branch, a tag or a commit; None: the newest, or what is in the cache of it.
        needed: names of files that a complete copy has.

    Raises:
        WeightsError: the hub has no such repository or revision, or cannot be reached.
        MissingPackageError: huggingface_hub is missing.
    """
    require(("huggingface_hub",))
    import huggingface_hub
    from huggingface_hub import errors

    # The library reads its variables when it is imported.
    cache = os.environ.get("HF_HUB_CACHE")
    try:
        found = huggingface_hub.snapshot_download(
            repository, revision=revision, cache_dir=cache, local_files_only=True, allow_patterns=list(patterns)
        )
        if all((Path(found) / name).is_file() for name in needed):
            return Path(found)
    except Exception:  # whatever is wrong with the cache: the hub may have it
        pass

    def fetch() -> str:
        try:
            return str(
                huggingface_hub.snapshot_download(
                    repository,
                    revision=revision,
                    cache_dir=cache,
                    endpoint=endpoint(),
                    allow_patterns=list(patterns),
                )
            )
        except errors.GatedRepoError:
            problem = f"hf:{repository} is given to those only who have asked for it on the hub."
            raise WeightsError(problem, "Ask for it there, and set HF_TOKEN to a token of yours.") from None
        except errors.RepositoryNotFoundError:
            problem = f"the hub has no repository {repository}, or it is a private one."
            raise WeightsError(
                problem, "Check the name; for a private one set HF_TOKEN to a token that may read it."
            ) from None
        except errors.RevisionNotFoundError:
            problem = f"hf:{repository} has no revision {revision!r}."
            raise WeightsError(problem, "Name a branch, a tag or a whole commit of it.") from None

    return Path(hub_or_explain(fetch, f"hf:{repository}", failed_to="{what} cannot be downloaded", hint=hint))
