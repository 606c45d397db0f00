"""A saved rotation: which file a recipe names, and where R1 is in it. Reads headers only; imports no torch."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.checkpoint.headers import read_shard_headers
from dfrot_engine.errors import DFRotError, RecipeError
from dfrot_engine.library import LIBRARY, library_path
from dfrot_engine.outside_files import home_path, is_file
from dfrot_engine.recipe import R1, REFINED, FromFile, RotationPlan

FIELD = "rotation.r1.path"
START_FIELD = "rotation.r1.start_path"
FROM_FILE = "from-file"
SUFFIXES = (".safetensors", ".npy")
NAME = "R1"
_FLOAT_DTYPES = ("F64", "F32", "F16", "BF16")


def named_rotation(r1: R1) -> tuple[str, str] | None:
    """(path, its field) of the saved rotation a recipe's R1 is or starts from; None when it names none."""
    if isinstance(r1, FromFile):
        return r1.path, FIELD
    if isinstance(r1, REFINED) and r1.start == FROM_FILE:
        return r1.start_path, START_FIELD
    return None


def named_rotations(rotation: RotationPlan) -> dict[str, str]:
    """Every saved rotation a recipe names: field → path."""
    r1 = named_rotation(rotation.r1)
    named = {} if r1 is None else {r1[1]: r1[0]}
    inner = {"rotation.r2.path": rotation.r2, "rotation.r4.path": rotation.r4}
    return named | {field: section.path for field, section in inner.items() if isinstance(section, FromFile)}


def check_inner(path: str, sizes: Architecture, field: str) -> None:
    """Whether a file that a run saved holds R2 or R4 for this model; `field` says which.

    Raises:
        RecipeError: no such file, not readable, or not for a model of these sizes.
    """
    try:
        headers = read_shard_headers(rotation_path(path))
    except DFRotError as error:
        raise RecipeError(error.message, error.remedy, field) from None
    shapes = {name: header.shape for name, header in headers.items()}
    blocks, width = range(sizes.num_blocks), sizes.intermediate_size
    if field.startswith("rotation.r2"):
        name, wanted = "R2", (sizes.num_kv_heads, sizes.head_size, sizes.head_size)
        is_there = all(shapes.get(f"R2.{block}") == wanted for block in blocks)
    else:
        name = "R4"
        has_segments = "R4.segments.0" in shapes
        is_there = has_segments or "R4.signs" in shapes
        is_there &= all(shapes.get(one, (width,)) == (width,) for one in ("R4.signs", "R4.channel_signs"))
        others = [other for other in sizes.mlp_widths if other != width]
        is_there &= all(shapes.get(f"R4.width.{other}.signs") == (other,) for other in others)
        for part, rank in (("R4.segments", 3), ("R4.channels", 1)):
            found = [shapes.get(f"{part}.{block}", ()) for block in blocks]
            is_there &= not any(found) or all(len(one) == rank and prod(one[:2]) == width for one in found)
    if not is_there:
        message = f"{path} holds no {name} for a model of this shape."
        raise RecipeError(message, "Choose a file that a run of this model saved.", field)


def find_rotation(path: str, width: int, field: str = FIELD) -> tuple[Path, str]:
    """(file, tensor's name; "" in a .npy file) of a rotation as wide as the model.

    Args:
        path: a file, or a name in the rotation library behind "library:".
        field: of the recipe, for messages.
    Raises:
        RecipeError: no such file, not readable, or no [width, width] matrix of floats in it.
    """
    try:
        file = rotation_path(path)
        if file.suffix.lower() == ".npy":
            _check_array(file, width)
            return file, ""
        return file, _tensor_name(file, width)
    except DFRotError as error:
        raise RecipeError(error.message, error.remedy, field) from None


def rotation_path(path: str) -> Path:
    """The file that a path or a name behind "library:" stands for.

    Raises:
        DFRotError: there is none, or it is no rotation file.
    """
    if path.startswith(LIBRARY):
        return library_path(path)
    file = home_path(path)
    if not path:
        remedy = f"Choose a {' or '.join(SUFFIXES)} file, or '{LIBRARY}' and a name that `dfrot rotations` lists."
        raise RecipeError("No rotation file is chosen.", remedy)
    if file.suffix.lower() not in SUFFIXES:
        raise RecipeError(f"{file.name} is no rotation file.", f"Choose a {' or '.join(SUFFIXES)} file.")
    if not is_file(file):
        raise RecipeError(f"The rotation file {file} does not exist.", "Check the path.")
    return file


def rotation_stamp(path: str) -> str:
    """Changes when the file does; "" when it is not there."""
    try:
        stat = rotation_path(path).stat()
    except (OSError, DFRotError):
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _tensor_name(file: Path, width: int) -> str:
    try:
        headers = read_shard_headers(file)
    except DFRotError as error:
        raise RecipeError(error.message, "Save the rotation again.") from None
    shapes = {name: header.shape for name, header in headers.items() if header.dtype in _FLOAT_DTYPES}
    names = [NAME] if NAME in headers else [name for name, shape in shapes.items() if shape == (width, width)]
    if len(names) > 1:
        message = f"{file.name} holds {len(names)} matrices of {width} × {width}: {', '.join(sorted(names)[:4])}."
        raise RecipeError(message, f"Name the one to use '{NAME}', or keep it alone.")
    if not names or shapes.get(names[0]) != (width, width):
        found = headers.get(NAME)
        what = f"'{NAME}' as {_times(found.shape)} {found.dtype}" if found else "no such matrix"
        raise _misfit(file, width, what)
    return names[0]


def _check_array(file: Path, width: int) -> None:
    try:
        array = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # numpy evaluates the header: a hostile one raises nearly anything
        reason = str(error).splitlines()[0][:200] if str(error) else "it is empty"
        message = f"{file.name} cannot be read as a .npy file: {reason.rstrip('.')}."
        raise RecipeError(message, "Save the matrix with numpy.save, as plain floats.") from None
    if array.shape != (width, width) or array.dtype.kind != "f":
        raise _misfit(file, width, f"{_times(array.shape)} {array.dtype}")


def _misfit(file: Path, width: int, what: str) -> RecipeError:
    return RecipeError(
        f"{file.name} holds {what}, but this model's R1 is a {width} × {width} matrix of floats.",
        "Choose a rotation that was made for this model.",
    )


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "one number of"
