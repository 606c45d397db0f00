"""Labels beside editors, bound to the recipe model, with problems right below the field they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QWidget

from dfrot_engine import Problem
from dfrot_gui.recipe_form.editors import make_editor
from dfrot_gui.recipe_form.fields import field_spec
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.theme import set_property
from dfrot_gui.widgets.basic import label, set_role


class BoundField:
    """One field on screen: its editor, and the line below it for problems."""

    def __init__(self, model: RecipeModel, field: str, editor: QWidget) -> None:
        self.field = field
        self.editor = editor
        self.note = label("", "bad", wrap=True)
        self.note.hide()
        self.caption: QLabel | None = None
        self._model = model
        self._help = editor.toolTip()
        self._shown: object = self  # no recipe value is this object

    def refresh(self) -> None:
        value = self._model.value(self.field)
        if value is None or value == self._shown:
            return
        self._shown = value
        show_value: Any = getattr(self.editor, "show_value")  # noqa: B009 - editors are QWidgets to the type checker
        show_value(value)

    def forget(self) -> None:
        """Show the recipe's value again even if it is the one shown last."""
        self._shown = self

    def set_enabled(self, is_enabled: bool) -> None:
        self.editor.setEnabled(is_enabled)
        if self.caption is not None:
            self.caption.setEnabled(is_enabled)

    def show_problems(self, problems: Sequence[Problem]) -> None:
        severity = min((problem.severity for problem in problems), default="")  # "error" sorts before "warning"
        self.note.setText("\n".join(f"{problem.message} {problem.remedy}".strip() for problem in problems))
        self.note.setVisible(bool(problems))
        if self.note.property("role") != (role := "warn" if severity == "warning" else "bad"):
            set_role(self.note, role)
        target = getattr(self.editor, "edit", self.editor)
        if (target.property("problem") or "") != severity:
            set_property(target, "problem", severity)
        self.editor.setAccessibleDescription(" ".join(filter(None, (self.note.text(), self._help))))


class Form(QGridLayout):
    """Rows of fields; `add` builds the editor from the recipe's field unless one is given."""

    def __init__(self, model: RecipeModel) -> None:
        super().__init__()
        self._model = model
        self.fields: list[BoundField] = []
        self.setHorizontalSpacing(16)
        self.setVerticalSpacing(9)
        self.setColumnStretch(1, 1)

    def add(
        self,
        field: str,
        editor: QWidget | None = None,
        *,
        title: str = "",
        tip: str = "",
        is_bound: bool = True,
        aligned: bool = True,
    ) -> BoundField:
        """A row for a recipe field, or for an option as "options.name".

        Args:
            title: caption with an "&" before its key; the field's own title when empty.
            is_bound: whether edits go to the field as they are; else the caller connects the editor.
            aligned: whether the editor takes the whole width.
        """
        spec = field_spec(field)
        title = title or spec.title
        bound = self.bind(field, editor or make_editor(spec), title=title, tip=tip, is_bound=is_bound)
        self._place(bound, "" if isinstance(bound.editor, QCheckBox) and bound.editor.text() else title, aligned)
        return bound

    def bind(self, field: str, editor: QWidget, *, title: str = "", tip: str = "", is_bound: bool = True) -> BoundField:
        """Let an editor show and set a field without placing it; the caller places it and its `note`."""
        spec = field_spec(field)
        editor.setToolTip(tip or spec.help)
        if not editor.accessibleName():
            editor.setAccessibleName((title or spec.title).replace("&", ""))
        bound = BoundField(self._model, field, editor)
        if is_bound:
            edited: Any = getattr(editor, "edited")  # noqa: B009
            edited.connect(lambda value: self._model.set(field, value))
        self.fields.append(bound)
        return bound

    def _place(self, bound: BoundField, title: str, aligned: bool) -> None:
        line = self.rowCount()
        if title:
            bound.caption = QLabel(title)
            bound.caption.setToolTip(bound.editor.toolTip())
            bound.caption.setBuddy(bound.editor)
            self.addWidget(bound.caption, line, 0, Qt.AlignmentFlag.AlignVCenter)
        alignment = Qt.AlignmentFlag.AlignVCenter
        if not aligned:
            alignment |= Qt.AlignmentFlag.AlignLeft
        first, span = (1, 1) if title else (0, 2)
        if aligned:
            self.addWidget(bound.editor, line, first, 1, span)
        else:
            self.addWidget(bound.editor, line, first, 1, span, alignment)
        self.addWidget(bound.note, line + 1, 0, 1, 2)

    def refresh(self) -> None:
        for bound in self.fields:
            bound.refresh()

    def show_problems(self, problems: Sequence[Problem]) -> None:
        """Each problem below the field it names; sections take those of fields that are not on screen."""
        for bound in self.fields:
            bound.show_problems([problem for problem in problems if problem.field == bound.field])
