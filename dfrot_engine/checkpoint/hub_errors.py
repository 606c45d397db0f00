"""What the Hub's client raises, said so that a user can act on it. No token ever gets into a message."""

from __future__ import annotations

import errno
import os

import httpx2
from huggingface_hub import get_token
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from dfrot_engine.checkpoint.json_files import MODEL_FIELD
from dfrot_engine.errors import AccessError, DFRotError, DiskError, HubError, ModelError

PUBLIC_HUB = "https://huggingface.co"
SIGN_IN = "Sign in on the window's Model page or with `hf auth login`"

#: Everything the client raises for a request that did not go well.
CLIENT_ERRORS = (OSError, httpx2.HTTPError, HFValidationError, RuntimeError)


def endpoint() -> str:
    """The Hub's address; read at every call, since the client reads it only when it is imported."""
    return os.environ.get("HF_ENDPOINT") or PUBLIC_HUB


def explain(error: Exception, model_id: str, revision: str = "main") -> DFRotError:
    """The error of a request about a model → a sentence and a remedy."""
    page = f"{endpoint()}/{model_id}"
    if isinstance(error, GatedRepoError):
        return _gated(model_id, page)
    if isinstance(error, RepositoryNotFoundError):  # 401 for the anonymous, whether it is missing or private
        return _unknown(model_id)
    if isinstance(error, RevisionNotFoundError):
        message, remedy = f"'{model_id}' has no revision '{revision}'.", f"See its branches at {page}/tree/main."
        return ModelError(message, remedy, "model.revision")
    if isinstance(error, DisabledRepoError):
        message, remedy = f"The Hub has disabled access to '{model_id}'.", "Choose another model."
    elif isinstance(error, RemoteEntryNotFoundError):
        name = error.response.url.path.rpartition("/")[2]
        message = f"'{model_id}' lacks a file a language model needs: {name}."
        remedy = "Choose a model published for transformers, with config.json and safetensors."
    elif isinstance(error, HFValidationError):
        message = f"'{model_id[:120]}' is neither a model on the Hub nor a path."
        remedy = "Write it as 'owner/name', or give the path of a folder or a .gguf file."
    else:
        return explain_connection(error, model_id)
    return ModelError(message, remedy, MODEL_FIELD)


def explain_connection(error: Exception, subject: str) -> DFRotError:
    """Trouble with the network, the Hub itself, the token or the disk."""
    if isinstance(error, HfHubHTTPError):
        return _refused(error.response.status_code, subject)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
        return DiskError(
            f"Cannot save '{subject}' in the Hub cache: {error.strerror}.",
            "Free some space, or set HF_HOME to a folder on another disk.",
            MODEL_FIELD,
        )
    if isinstance(error, httpx2.TimeoutException):
        return HubError(
            f"{endpoint()} did not answer in time.", "Try again, or choose a model on this computer.", MODEL_FIELD
        )
    if isinstance(error, OfflineModeIsEnabled):
        return HubError(
            f"'{subject}' is not on this computer, and HF_HUB_OFFLINE forbids downloads.",
            "Unset HF_HUB_OFFLINE, or choose a model on this computer.",
            MODEL_FIELD,
        )
    if isinstance(error, (httpx2.HTTPError, LocalEntryNotFoundError, ConnectionError)):
        return HubError(
            f"Cannot reach {endpoint()}, and '{subject}' is not on this computer.",
            "Check the network connection and proxy, or choose a model on this computer. Finished files are kept.",
            MODEL_FIELD,
        )
    return HubError(
        f"'{subject}' could not be loaded: {type(error).__name__}.", "Try again in a few minutes.", MODEL_FIELD
    )


def _unknown(model_id: str) -> ModelError:
    access = f"{SIGN_IN} if it is private" if get_token() is None else "Ask its owner for access if it is private"
    return ModelError(
        f"The Hub knows no model '{model_id}' that you may see.", f"Check the spelling. {access}.", MODEL_FIELD
    )


def _gated(model_id: str, page: str) -> AccessError:
    if get_token() is None:
        return AccessError(
            f"'{model_id}' is gated: its publisher wants to know who you are.",
            f"Accept the conditions at {page}. {SIGN_IN}, then try again.",
            MODEL_FIELD,
        )
    return AccessError(
        f"You are signed in, but have no access to the gated model '{model_id}' yet.",
        f"Ask for it at {page} and wait until it is granted.",
        MODEL_FIELD,
    )


def _refused(status: int, subject: str) -> HubError:
    if status == 401:
        return HubError("The Hub does not accept your token.", f"{SIGN_IN} again, or remove HF_TOKEN.", MODEL_FIELD)
    if status == 403:
        return HubError(
            f"Your token has no right to read '{subject}'.", "Use a token with read access to it.", MODEL_FIELD
        )
    if status == 429:
        return HubError("The Hub asks for fewer requests.", "Wait a few minutes, or sign in for more.", MODEL_FIELD)
    return HubError(f"The Hub answered with error {status}.", "Try again in a few minutes.", MODEL_FIELD)
