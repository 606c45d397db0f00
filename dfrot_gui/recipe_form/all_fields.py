"""Every field of the recipe and the options in one generated form, folded away until it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel
from PySide6.QtWidgets import QVBoxLayout, QWidget

from dfrot_engine import Problem
from dfrot_gui.icons import icon
from dfrot_gui.recipe_form.fields import field_title
from dfrot_gui.recipe_form.form import Form
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.theme import px
from dfrot_gui.translation import tr
from dfrot_gui.widgets.basic import Button, Card, IconLabel, clear, label, row
from dfrot_gui.widgets.reflow import ReflowGrid

# Fixed by other controls or without a choice.
_HIDDEN = {"version", "kind"}
_LISTS = (tuple, list)


class AllFields(Card):
    """A fold that builds its form when it is first opened, and anew when sections come or go."""

    def __init__(self, model: RecipeModel) -> None:
        super().__init__(margins=(10, 8, 10, 8), spacing=10)
        self._model = model
        self._forms: list[Form] = []
        self._shape: tuple[str, ...] = ()
        self._problems: tuple[Problem, ...] = ()
        self.toggle = Button(
            tr("All fields"), "caret-right", "fold", tip=tr("Every field of the recipe and of the run's options")
        )
        self.toggle.toggled.connect(lambda _: self.refresh())
        self.add(self.toggle)
        self._content = QWidget()
        self._layout = QVBoxLayout(self._content)
        self._layout.setContentsMargins(8, 0, 8, 8)
        self.add(self._content)
        self._content.hide()

    def refresh(self) -> None:
        is_open = self.toggle.isChecked()
        self._content.setVisible(is_open)
        self.toggle.setIcon(icon("caret-down" if is_open else "caret-right"))
        if not is_open:
            return
        sections = _sections(self._model)
        shape = tuple(field for _, fields in sections for field in fields)
        if shape != self._shape:
            self._shape = shape
            self._build(sections)
        for form in self._forms:
            form.refresh()
            form.show_problems(self._problems)

    def show_problems(self, problems: Sequence[Problem]) -> None:
        self._problems = tuple(problems)
        for form in self._forms:
            form.show_problems(problems)

    def editor(self, field: str) -> QWidget | None:
        """The editor of a field, unfolding the form for it; None if the recipe has no such field now."""
        if not any(field in fields for _, fields in _sections(self._model)):
            return None
        self.toggle.setChecked(True)
        return next((bound.editor for form in self._forms for bound in form.fields if bound.field == field), None)

    def _build(self, sections: Sequence[tuple[str, list[str]]]) -> None:
        clear(self._layout)
        self._forms = []
        cards: list[QWidget] = []
        for title, fields in sections:
            card = Card(kind="inset", margins=(14, 12, 14, 12), spacing=8)
            card.add(row(IconLabel("sliders-horizontal", 15, "faint"), label(title, "h2"), None))
            form = Form(self._model)
            for field in fields:
                form.add(field)
            self._forms.append(form)
            card.add(form)
            card.body.addStretch(1)
            cards.append(card)
        self._layout.addWidget(ReflowGrid(cards, columns=(3, 2, 1), min_width=px(290), spacing=12))


def _sections(model: RecipeModel) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    _collect(model.recipe, "", tr("Recipe"), found)
    _collect(model.options, "options", tr("Run options"), found)
    return found


def _collect(section: BaseModel, path: str, title: str, found: list[tuple[str, list[str]]]) -> None:
    """Plain fields of a section first, then the sections in it; lists of sections are left to the recipe file."""
    plain: list[str] = []
    inner: list[tuple[BaseModel, str, str]] = []
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        field = f"{path}.{name}" if path else name
        if isinstance(value, BaseModel):
            inner.append((value, field, tr(field_title(name, info))))
        elif name not in _HIDDEN and not isinstance(value, _LISTS) and (value is not None or path == "options"):
            plain.append(field)
    if plain:
        found.append((title, plain))
    for value, field, inner_title in inner:
        _collect(value, field, inner_title, found)
