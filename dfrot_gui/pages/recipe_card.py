"""What the cards of the recipe page share: bound fields, and problems below the fields they name."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QWidget

from dfrot_engine import Problem, Recipe
from dfrot_gui.recipe_form.form import Form
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.widgets import Card, box, col, label


class RecipeCard(Card):
    """A part of the recipe on screen.

    Args:
        sections: beginnings of the field names that belong here; their problems are shown in `notes` when the field
            itself has no editor on the card.
    """

    def __init__(self, title: str, subtitle: str = "", *, model: RecipeModel, sections: Sequence[str]) -> None:
        super().__init__(title, subtitle)
        self.model = model
        self.form = Form(model)
        self._notes = {"error": label("", "bad", wrap=True), "warning": label("", "warn", wrap=True)}
        self.notes = box(col(*self._notes.values(), spacing=4))
        self.notes.hide()
        self._sections = tuple(sections)

    def refresh(self, recipe: Recipe) -> None:
        """Show the recipe."""
        self.form.refresh()

    def owns(self, field: str) -> bool:
        """Whether a problem of this field is to be shown on this card."""
        return any(field == section or field.startswith(f"{section}.") for section in self._sections)

    def show_problems(self, problems: Sequence[Problem]) -> None:
        self.form.show_problems(problems)
        shown = {bound.field for bound in self.form.fields}
        mine = [problem for problem in problems if problem.field not in shown and self.owns(problem.field)]
        for severity, note in self._notes.items():
            texts = [f"{one.message} {one.remedy}".strip() for one in mine if one.severity == severity]
            note.setText("\n".join(texts))
            note.setVisible(bool(texts))
        self.notes.setVisible(bool(mine))

    def editor(self, field: str) -> QWidget | None:
        """The editor of a field; None when it has none here."""
        return next((bound.editor for bound in self.form.fields if bound.field == field), None)
