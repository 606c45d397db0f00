"""Who is signed in to the Hub, and what a model's revisions are. The Hub's client alone keeps the token."""

from __future__ import annotations

import re

from huggingface_hub import HfApi, get_token, login, logout
from huggingface_hub.errors import HfHubHTTPError

from dfrot_engine.checkpoint.hub_errors import CLIENT_ERRORS, endpoint, explain_connection
from dfrot_engine.checkpoint.hub_facts import explained
from dfrot_engine.errors import HubError

MAX_COMMITS = 20
UNAUTHORIZED = (401, 403)


def user() -> str:
    """Name of who is signed in; "" for nobody.

    Raises:
        HubError: the Hub cannot be reached, or no longer accepts the token that is kept.
    """
    try:
        has_token = get_token() is not None
    except OSError:  # a home that is no folder, or may not be entered, keeps no token
        return ""
    return _name(None) if has_token else ""


def sign_in(token: str) -> str:
    """Check a token, have the Hub's client keep it, and answer with the name it belongs to.

    Raises:
        HubError: the Hub does not know the token or cannot be reached; the message never holds the token.
    """
    token = token.strip()
    if not re.fullmatch(r"[\w-]+", token, re.ASCII):  # else it could break out of the header it travels in
        raise HubError("This is no access token.", "Copy it again; it begins with 'hf_'.")
    name = _name(token)
    try:
        login(token=token)
    except OSError as error:
        text = f"The token could not be saved: {error.strerror or type(error).__name__}."
        raise HubError(text, "Check who may write in the Hub client's folder (HF_HOME).") from None
    except ValueError:  # its text is the client's; nobody knows what it quotes
        raise HubError("The Hub's client refuses this token.", "Use a token of your own account.") from None
    if get_token() != token:
        text = f"The token of {name} is kept, but HF_TOKEN is set and goes first."
        raise HubError(text, "Unset HF_TOKEN and start the program again.")
    return name


def sign_out() -> None:
    """Have the Hub's client forget its tokens.

    Raises:
        HubError: HF_TOKEN is set, which goes on to sign in.
    """
    try:
        logout()
    except OSError:
        if get_token() is None:
            return  # git, whose copy of the token the client removes as well, is not there
        raise HubError("You are still signed in: HF_TOKEN is set.", "Unset it and start the program again.") from None


def revisions(model_id: str) -> tuple[str, ...]:
    """Branches, tags, then the latest commits of a model; "main" first.

    Raises:
        ModelError, HubError: as `inspect`.
    """
    api = HfApi(endpoint=endpoint())
    with explained(model_id, "main"):
        refs = api.list_repo_refs(model_id)
        commits = [commit.commit_id for commit in api.list_repo_commits(model_id)]
    named = [ref.name for ref in (*refs.branches, *refs.tags)]
    return tuple(dict.fromkeys(("main", *sorted(named), *commits[:MAX_COMMITS])))


def _name(token: str | None) -> str:
    try:
        return str(HfApi(endpoint=endpoint()).whoami(token=token)["name"])
    except HfHubHTTPError as error:
        if error.response.status_code in UNAUTHORIZED:
            text = "The Hub does not accept this token."
            raise HubError(text, "It may have expired. Make a new one with read access and copy all of it.") from None
        raise _unreachable(error) from None
    except CLIENT_ERRORS as error:
        raise _unreachable(error) from None


def _unreachable(error: Exception) -> HubError:
    explained_error = explain_connection(error, "your account")
    return HubError(explained_error.message, "Check the network connection and try again.")
