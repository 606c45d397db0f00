"""The rotation library: learned rotations kept for other runs, by name. Reads headers only; imports no torch."""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_data_path
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from dfrot_engine.checkpoint.headers import read_metadata, read_shard_headers
from dfrot_engine.errors import DFRotError, DiskError

#: What a recipe puts before a name of the library, so that no name can be taken for a path.
LIBRARY = "library:"
ENVIRONMENT = "DFROT_LIBRARY"

_SUFFIX = ".safetensors"
_STALE_S = 3_600
_SHORT = 8  # characters of the fingerprint
_LONGEST_MODEL = 80  # characters; a file name has 255 bytes
_LOG = logging.getLogger(__name__)


class RotationFacts(BaseModel):
    """What a run notes in the file of its rotations, in the metadata of safetensors.

    Args:
        revision: commit on the Hub; "" for local models.
        recipe: TOML.
        fingerprint: of the stage that made it: model, calibration, rotation and activations.
        kind: of R1, as in the recipe.
        seed: of R1; None where it has none.
        created: UTC.
        loss_start, loss_end: what the refinement of R1 lowered, not divided by anything; None if it was not refined.
        token_error_mean: mean of ‖xR − Q(xR)‖/‖x‖ over the calibration tokens; None if it was not measured.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    model: str
    revision: str = ""
    recipe: str
    recipe_name: str
    fingerprint: str
    kind: str
    seed: int | None = None
    created: AwareDatetime
    hidden_size: int
    num_blocks: int
    head_size: int
    loss_start: float | None = None
    loss_end: float | None = None
    token_error_mean: float | None = None

    def to_metadata(self) -> dict[str, str]:
        """Texts, as safetensors wants them; what is not known is left out."""
        return {name: str(value) for name, value in self.model_dump(mode="json", exclude_none=True).items()}


class RotationEntry(RotationFacts):
    """One file of the library."""

    path: Path
    has_r1: bool

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def reference(self) -> str:
        """What a recipe names it by."""
        return LIBRARY + self.name

    @property
    def loss_gain(self) -> float | None:
        """Share of the loss that the refinement took away; None if it was not refined."""
        if not self.loss_start or self.loss_end is None:
            return None
        return 1 - self.loss_end / self.loss_start


def library_dir() -> Path:
    """The folder of the library; it need not be there."""
    chosen = os.environ.get(ENVIRONMENT)
    return Path(chosen).expanduser() if chosen else user_data_path("dfrot") / "rotations"


def keep_rotation(source: Path, facts: RotationFacts) -> Path:
    """Add a run's file of rotations, without a copy where the disk allows; what is there already is not added again.

    Returns:
        The library's file with these rotations.
    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    folder = library_dir()
    folder.mkdir(parents=True, exist_ok=True)
    ending = f"--{facts.fingerprint[:_SHORT]}{_SUFFIX}"
    for path in folder.glob(f"*{ending}"):
        if _fingerprint(path) == facts.fingerprint:
            return path
    target = folder / f"{_slug(facts.model)}--{facts.kind}{ending}"
    for stale in folder.glob(".*.draft"):  # one that is alive needs its draft for an instant only
        if time.time() - stale.lstat().st_ctime > _STALE_S:
            stale.unlink(missing_ok=True)
    draft = folder / f".{target.name}.{os.getpid()}.draft"
    try:
        try:
            os.link(source, draft)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def list_rotations(
    *, model: str = "", width: int | None = None, on_skip: Callable[[str], None] = _LOG.warning
) -> tuple[RotationEntry, ...]:
    """The library's rotations, newest first.

    Args:
        model: only those of models whose name has this in it, in whatever case.
        width: only those with an R1 of this many rows.
        on_skip: told of every file that is damaged or was not written by a run.
    """
    entries: list[RotationEntry] = []
    for path in sorted(library_dir().glob(f"*{_SUFFIX}")):
        try:
            entry = read_entry(path)
        except DFRotError as error:
            on_skip(f"{path} is left out: {error.message}")
            continue
        if model.lower() in entry.model.lower() and (width is None or (entry.has_r1 and entry.hidden_size == width)):
            entries.append(entry)
    return tuple(sorted(entries, key=lambda entry: entry.created, reverse=True))


def read_entry(path: Path) -> RotationEntry:
    """Raises:
    DFRotError: not readable, damaged, or not written by a run.
    """
    headers = read_shard_headers(path)
    try:
        entry = RotationEntry.model_validate(read_metadata(path) | {"path": path, "has_r1": "R1" in headers})
    except ValidationError as error:
        first = error.errors()[0]
        what = ".".join(map(str, first["loc"]))
        raise DiskError(f"it was not written by a run ({what}: {first['msg']}).", "Remove it.") from None
    if entry.has_r1 and headers["R1"].shape != (entry.hidden_size, entry.hidden_size):
        raise DiskError("its R1 is not as wide as it says.", "Remove it.")
    return entry


def library_path(name: str) -> Path:
    """The file of a name, or of the eight characters a name ends with; "library:" before it makes no difference.

    Raises:
        DFRotError: none or several have this name.
    """
    name = name.removeprefix(LIBRARY)
    paths = {path.stem: path for path in library_dir().glob(f"*{_SUFFIX}")}
    if name in paths:
        return paths[name]
    found = sorted(path.name for stem, path in paths.items() if name and stem.endswith(f"--{name}"))
    if not found:
        message = f"There is no rotation '{name}' in the library."
        raise DiskError(message, "`dfrot rotations` lists their names.")
    if len(found) > 1:
        raise DiskError(f"'{name}' stands for several rotations: {', '.join(found)}.", "Give the whole name.")
    return library_dir() / found[0]


def delete_rotation(name: str) -> Path:
    """Remove a rotation from the library, sound or not; runs that used it keep their own file.

    Returns:
        The file that is gone.
    Raises:
        DFRotError: there is none of this name, or it cannot be removed.
    """
    path = library_path(name)
    try:
        path.unlink()
    except OSError as error:
        raise DiskError(f"{path} cannot be removed: {error.strerror}.", "Check the folder's permissions.") from None
    return path


def _fingerprint(path: Path) -> str:
    try:
        return read_entry(path).fingerprint
    except DFRotError:  # damaged: to be replaced
        return ""


def _slug(model: str) -> str:
    """A model's name as part of a file name."""
    name = re.split(r"[/\\]", model.rstrip("/\\"))[-1].removesuffix(".gguf")
    return re.sub(r"[^\w.+-]+", "-", name, flags=re.ASCII).strip("-.")[:_LONGEST_MODEL] or "model"
