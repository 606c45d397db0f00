"""An output folder to the Hub: its own check first, then file after file, then one commit."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

from dfrot_engine.checkpoint.hub_errors import CLIENT_ERRORS, SIGN_IN, endpoint
from dfrot_engine.errors import DFRotError, HubError, ModelError
from dfrot_engine.events import Event, RunEnded, StageAdvanced, StageFinished, StageStarted
from dfrot_engine.marker import CARD, MARKER, broken_files, has_failed, read_marker
from dfrot_engine.report_file import REPORT
from dfrot_engine.units import format_bytes

STAGE = "push"
#: What the Hub puts into every repository.
_HUB_FILES = (".gitattributes",)
# It names folders of this computer; the card holds its numbers.
_KEPT_HERE = (REPORT,)
_PROBED = "Run `dfrot verify` on the folder"


def push_folder(
    folder: Path,
    repo_id: str,
    report: Callable[[Event], None],
    *,
    private: bool = True,
    replace: bool = False,
    unproven: bool = False,
) -> str:
    """Upload a folder and return the address of its page. Run again after a stop, it goes on where it was.

    Args:
        private: of a repository that is made; one that is there stays as it is.
        replace: whether a repository that holds files may be made to hold this folder instead.
        unproven: whether to push a folder whose proof has failed, was left out, or that has changed since.
    Raises:
        ModelError: no output of a run, or its proof failed.
        HubError: not signed in, not allowed, no network, or the repository holds files.
    """
    folder = folder.absolute()
    paths = _files(folder)
    if not unproven:
        _check_proof(folder)
    if get_token() is None:
        raise HubError("You are not signed in to the Hub.", f"{SIGN_IN}, then push again.")
    api = HfApi(endpoint=endpoint(), library_name="dfrot")
    with _explained(repo_id):
        there = files_there(api, repo_id)
        if there and not replace:
            raise HubError(
                f"{repo_id} already holds {len(there)} files ({', '.join(there[:3])} …).",
                "Choose another name, or let them be replaced with --yes.",
            )
        api.create_repo(repo_id, private=private, exist_ok=True)
        added = [_operation(folder, path, repo_id) for path in paths]
        _upload(api, repo_id, added, report)
        gone = sorted(set(there) - {one.path_in_repo for one in added})
        deleted = [CommitOperationDelete(path_in_repo=name) for name in gone]
        api.create_commit(repo_id, [*added, *deleted], commit_message="Upload a quantized model with dfrot")
    address = f"{endpoint()}/{repo_id}"
    report(StageFinished(stage=STAGE))
    report(RunEnded(status="finished", message=f"Pushed to {address}.", outputs=(address,)))
    return address


def files_there(api: HfApi, repo_id: str) -> list[str]:
    """Files of a repository that somebody has put there; none where there is no repository."""
    try:
        return [name for name in api.list_repo_files(repo_id) if name not in _HUB_FILES]
    except RepositoryNotFoundError:
        return []


def _files(folder: Path) -> list[Path]:
    """Those of this output, without other outputs below it."""
    if not (folder / MARKER).is_file():
        raise ModelError(f"{folder} is no output of a run (no {MARKER}).", "Give the output folder of a run.")
    others = [marker.parent for marker in folder.rglob(MARKER) if marker.parent != folder]
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in _KEPT_HERE]
    return [
        path
        for path in found
        if not any(path.is_relative_to(other) for other in others)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _check_proof(folder: Path) -> None:
    remedy = f"{_PROBED} and make it anew, or push it all the same with --unproven."
    if has_failed(folder):
        raise ModelError(f"The proof of {folder} has failed: it is not what its recipe says.", remedy)
    if not read_marker(folder).get("proof", {}).get("passed"):
        raise ModelError(f"Nobody has proved what is in {folder}.", remedy)
    broken = broken_files(folder)
    if broken:
        name, what = next(iter(broken.items()))
        raise ModelError(f"{name} in {folder} {what}.", remedy)


def _operation(folder: Path, path: Path, repo_id: str) -> CommitOperationAdd:
    """Of a card with the repository's name in the place of the folder's."""
    name = path.relative_to(folder).as_posix()
    if name != CARD:
        return CommitOperationAdd(path_in_repo=name, path_or_fileobj=path)
    text = path.read_text(encoding="utf-8")
    for place in {shlex.quote(f"./{folder.name}"), f"./{folder.name}"}:
        text = text.replace(place, repo_id)
    return CommitOperationAdd(path_in_repo=name, path_or_fileobj=text.encode())


def _upload(api: HfApi, repo_id: str, files: list[CommitOperationAdd], report: Callable[[Event], None]) -> None:
    """Large files one by one; what the Hub already has is not sent again."""
    total = max(1, sum(one.upload_info.size for one in files))
    report(StageStarted(stage=STAGE, steps=100))
    done = 0
    for one in files:
        size = one.upload_info.size
        label = f"{one.path_in_repo} ({format_bytes(size)})"
        report(StageAdvanced(stage=STAGE, step=100 * done // total, steps=100, label=label))
        api.preupload_lfs_files(repo_id, [one], num_threads=1, free_memory=False)
        done += size
    report(StageAdvanced(stage=STAGE, step=100, steps=100, label="Commit"))


@contextmanager
def _explained(repo_id: str) -> Iterator[None]:
    """What the Hub's client raises becomes a sentence, without its headers, which hold the token."""
    try:
        yield
    except DFRotError:
        raise
    except HFValidationError:
        raise HubError(f"'{repo_id[:120]}' cannot be the name of a repository.", "Write it as USER/NAME.") from None
    except HfHubHTTPError as error:
        raise _refused(error.response.status_code, repo_id) from None
    except (*CLIENT_ERRORS, ValueError) as error:
        raise HubError(
            f"{repo_id} could not be pushed to {endpoint()}: {type(error).__name__}.",
            "Check the network and push again: what has arrived is not sent again.",
        ) from None


def _refused(status: int, repo_id: str) -> HubError:
    if status in (401, 403):
        return HubError(
            f"Your token may not write to {repo_id}.", f"{SIGN_IN} with a token that may write, or choose another name."
        )
    return HubError(
        f"The Hub answered with error {status} while {repo_id} was pushed.",
        "Push again in a few minutes: what has arrived is not sent again.",
    )
