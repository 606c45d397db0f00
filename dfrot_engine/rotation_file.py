"""A rotation of the user's own: where it is in its file. Reads headers only; imports no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dfrot_engine.checkpoint.headers import read_shard_headers
from dfrot_engine.errors import DFRotError, RecipeError

FIELD = "rotation.r1.path"
SUFFIXES = (".safetensors", ".npy")
NAME = "R1"
_FLOAT_DTYPES = ("F64", "F32", "F16", "BF16")


def find_rotation(path: str, width: int) -> tuple[Path, str]:
    """(file, tensor's name; "" in a .npy file) of a rotation as wide as the model.

    Raises:
        RecipeError: no such file, not readable, or no [width, width] matrix of floats in it.
    """
    file = Path(path).expanduser()
    if not path:
        raise RecipeError("No rotation file is chosen.", "Choose a .safetensors or .npy file.", FIELD)
    if file.suffix.lower() not in SUFFIXES:
        raise RecipeError(f"{file.name} is no rotation file.", f"Choose a {' or '.join(SUFFIXES)} file.", FIELD)
    if not file.is_file():
        raise RecipeError(f"The rotation file {file} does not exist.", "Check the path.", FIELD)
    if file.suffix.lower() == ".npy":
        _check_array(file, width)
        return file, ""
    return file, _tensor_name(file, width)


def rotation_stamp(path: str) -> str:
    """Changes when the file does; "" when it is not there."""
    try:
        stat = Path(path).expanduser().stat()
    except OSError:
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _tensor_name(file: Path, width: int) -> str:
    try:
        headers = read_shard_headers(file)
    except DFRotError as error:
        raise RecipeError(error.message, "Save the rotation again.", FIELD) from None
    shapes = {name: header.shape for name, header in headers.items() if header.dtype in _FLOAT_DTYPES}
    names = [NAME] if NAME in headers else [name for name, shape in shapes.items() if shape == (width, width)]
    if len(names) > 1:
        message = f"{file.name} holds {len(names)} matrices of {width} × {width}: {', '.join(sorted(names)[:4])}."
        raise RecipeError(message, f"Name the one to use '{NAME}', or keep it alone.", FIELD)
    if not names or shapes.get(names[0]) != (width, width):
        found = headers.get(NAME)
        what = f"'{NAME}' as {_times(found.shape)} {found.dtype}" if found else "no such matrix"
        raise _misfit(file, width, what)
    return names[0]


def _check_array(file: Path, width: int) -> None:
    try:
        array = np.lib.format.open_memmap(file, mode="r")
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is empty"
        message = f"{file.name} cannot be read as a .npy file: {reason.rstrip('.')}."
        raise RecipeError(message, "Save the matrix with numpy.save, as plain floats.", FIELD) from None
    if array.shape != (width, width) or array.dtype.kind != "f":
        raise _misfit(file, width, f"{_times(array.shape)} {array.dtype}")


def _misfit(file: Path, width: int, what: str) -> RecipeError:
    return RecipeError(
        f"{file.name} holds {what}, but this model's R1 is a {width} × {width} matrix of floats.",
        "Choose a rotation that was made for this model.",
        FIELD,
    )


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "one number of"
