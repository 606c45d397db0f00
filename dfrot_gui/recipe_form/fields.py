"""What a form needs to know of a recipe field, read from the field itself."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dfrot_engine import Recipe, RunOptions
from dfrot_gui.translation import tr


@dataclass(frozen=True)
class FieldSpec:
    """One field: where it is, how it is called, what it may hold.

    Args:
        type: bool, int, float, str or Path; for choices, str.
        choices: allowed words; empty when any value within the bounds will do.
        words: words allowed beside a number, such as "search".
        lower, upper: inclusive bounds of a number; `lower_open` says that `lower` itself is not allowed.
    """

    field: str
    title: str
    help: str
    type: type
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None
    lower_open: bool = False


def field_spec(field: str) -> FieldSpec:
    """The description of a dotted recipe field, or of an option as "options.name".

    In a union of sections the first section that has the field describes it.
    """
    model: type[BaseModel] = RunOptions if field.startswith("options.") else Recipe
    *parents, last = field.removeprefix("options.").split(".")
    candidates = [model]
    for name in parents:
        candidates = [section for one in candidates for section in sections_of(one.model_fields[name].annotation)]
        candidates = [section for section in candidates if last in section.model_fields or name != parents[-1]]
    info = next(one.model_fields[last] for one in candidates if last in one.model_fields)
    return _spec(field, last, info)


def sections_of(annotation: Any) -> list[type[BaseModel]]:
    """The sections an annotation allows, in the order they are written."""
    if get_origin(annotation) is Annotated:
        return sections_of(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        return [section for part in get_args(annotation) for section in sections_of(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def field_title(name: str, info: FieldInfo) -> str:
    """How a field is called, in English."""
    return info.title or name.replace("_", " ").capitalize()


def _spec(field: str, name: str, info: FieldInfo) -> FieldSpec:
    parts = _parts(info.annotation, info.metadata)
    words = tuple(str(word) for kind, _, choices in parts if kind is str for word in choices)
    kinds = [(kind, metadata) for kind, metadata, choices in parts if not choices and kind is not type(None)]
    kind, metadata = kinds[0] if kinds else (str, [])
    lower, upper, is_open = _bounds(metadata)
    return FieldSpec(
        field=field,
        title=tr(field_title(name, info)),
        help=tr(info.description or ""),
        type=kind,
        choices=() if kinds else words,
        words=words if kinds else (),
        lower=lower,
        upper=upper,
        lower_open=is_open,
    )


def _parts(annotation: Any, metadata: list[Any]) -> list[tuple[type, list[Any], tuple[Any, ...]]]:
    """(type, constraints, allowed words) of every member of an annotation."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _parts(inner, [*metadata, *(item for part in more for item in getattr(part, "metadata", [part]))])
    if origin is Literal:
        return [(str, metadata, get_args(annotation))]
    if origin in {Union, types.UnionType}:
        return [found for part in get_args(annotation) for found in _parts(part, metadata)]
    return [(annotation if isinstance(annotation, type) else str, metadata, ())]


def _bounds(metadata: list[Any]) -> tuple[float | None, float | None, bool]:
    lower: Any = None
    upper: Any = None
    is_open = False
    for item in metadata:
        if isinstance(item, annotated_types.Ge):
            lower = item.ge
        elif isinstance(item, annotated_types.Gt):
            lower, is_open = item.gt, True
        elif isinstance(item, annotated_types.Le):
            upper = item.le
    return lower, upper, is_open
