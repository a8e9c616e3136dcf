"""A folder, pushed to the hub."""

from __future__ import annotations

from pathlib import Path

from fer_bench.deploy.hub.folder import FILES
from fer_bench.deploy.hub.reference import Place
from fer_bench.errors import SpecError, WeightsError
from fer_bench.models.hub import hub_or_explain
from fer_bench.models.hub_files import endpoint
from fer_bench.packages import require

_TOKEN = "Make a token that may write at https://huggingface.co/settings/tokens, and set HF_TOKEN to it."
_REFUSED = (401, 403)


def require_token() -> str:
    """The user's token, of the environment or of ``hf auth login``.

    Raises:
        SpecError: there is none.
    """
    require(("huggingface_hub",))
    import huggingface_hub

    token = huggingface_hub.get_token()
    if not token:
        problem = "there is no token for the hub: HF_TOKEN is not set."
        raise SpecError(problem, _TOKEN)
    return str(token)


def push_folder(folder: Path, place: Place, message: str, *, private: bool = False) -> tuple[str, str]:
    """Push the files of a network, as one commit; the repository is made where it is not there yet.

    Args:
        folder: as :func:`~fer_bench.deploy.hub.folder.write_folder` has written it.
        place: the repository, with a branch if it is not the usual one.
        message: of the commit.
        private: whether a new repository is.

    Returns:
        The address of the commit, and its id.

    Raises:
        SpecError: there is no token.
        WeightsError: the hub cannot be reached, or refuses.
    """
    token = require_token()
    import huggingface_hub
    from huggingface_hub import errors

    hub = huggingface_hub.HfApi(endpoint=endpoint(), token=token, library_name="fer_bench")

    def send() -> tuple[str, str]:
        try:
            hub.create_repo(place.repository, private=private, exist_ok=True)
            done = hub.upload_folder(
                repo_id=place.repository,
                folder_path=folder,
                revision=place.revision,
                commit_message=message,
                allow_patterns=list(FILES),
            )
        except errors.RevisionNotFoundError:
            problem = f"hf:{place.repository} has no branch {place.revision!r}."
            raise WeightsError(problem, "Make it on the hub first, or leave it out.") from None
        except errors.HfHubHTTPError as error:
            if error.response is None or error.response.status_code not in _REFUSED:
                raise
            problem = f"the hub does not let this token write to {place.repository}."
            raise WeightsError(problem, _TOKEN) from None
        return str(done.commit_url), str(done.oid)

    return hub_or_explain(
        send,
        str(place),
        (endpoint() or "https://huggingface.co",),
        failed_to="{what} cannot be pushed",
        hint="Try again; --out FOLDER writes the folder alone.",
    )
