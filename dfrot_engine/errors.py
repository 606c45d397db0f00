"""Errors a user can act on: what is wrong, and what to do about it."""

from __future__ import annotations


class DFRotError(Exception):
    """A mistake or a limit the user can do something about; shown as a sentence, never as a traceback.

    Args:
        message: what is wrong, one sentence with the names and numbers at hand.
        remedy: what to do about it, one sentence.
        field: the recipe or option field it belongs to, for example "rotation.r1.kind"; "" if none.
    """

    def __init__(self, message: str, remedy: str = "", field: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy
        self.field = field


class RecipeError(DFRotError):
    """The recipe does not hold together, or does not fit the model."""


class ModelError(DFRotError):
    """The model's files cannot be used: missing, broken, unsupported or refused."""


class HubError(DFRotError):
    """The Hub could not be reached or refused the request."""


class AccessError(HubError):
    """The model is gated: its publisher decides who may read it, on the model's page."""


class DataError(DFRotError):
    """The calibration or evaluation text cannot be used."""


class DiskError(DFRotError):
    """A folder cannot be written, is occupied, or the disk is too small."""


class DeviceError(DFRotError):
    """The device is missing or ran out of memory."""


class RunError(DFRotError):
    """A run met numbers it cannot go on with, for example NaN activations."""


class ProofError(RunError):
    """What was written is not what was computed, or not what the original computes."""


class Cancelled(DFRotError):
    """The user stopped the run; everything finished so far is kept."""

    def __init__(self) -> None:
        super().__init__("Stopped on request.", "Run the same recipe again to resume.")
