"""One small editor per kind of field. All of them: `show_value`, and `edited` when the user changed it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QSpinBox, QWidget

from dfrot_gui.recipe_form.fields import FieldSpec
from dfrot_gui.translation import num, tr
from dfrot_gui.widgets.choices import Segmented
from dfrot_gui.widgets.path_field import PathField

INT32_MAX = 2**31 - 1


class Editor(Protocol):
    """What a form asks of an editor; every editor is a QWidget as well."""

    edited: Any

    def show_value(self, value: Any) -> None: ...


class IntEditor(QSpinBox):
    edited = Signal(object)

    def __init__(self, spec: FieldSpec, suffix: str = "") -> None:
        super().__init__()
        self.setRange(int(spec.lower or 0), int(spec.upper if spec.upper is not None else INT32_MAX))
        self.setGroupSeparatorShown(True)
        self.setKeyboardTracking(False)
        self.setSuffix(suffix)
        self.lineEdit().setTextMargins(10, 0, 0, 0)
        self.valueChanged.connect(self.edited.emit)

    def show_value(self, value: Any) -> None:
        _quietly(self, lambda: self.setValue(int(value)))

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        event.ignore()  # scrolling the page must not change a number under the pointer


class FloatEditor(QDoubleSpinBox):
    edited = Signal(object)

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__()
        is_ratio = spec.upper is not None and spec.upper <= 1
        self.setDecimals(3 if is_ratio else 1)
        smallest = 10.0 ** -self.decimals() if spec.lower_open else 0.0
        self.setRange((spec.lower or 0.0) + smallest, spec.upper if spec.upper is not None else math.inf)
        self.lineEdit().setTextMargins(10, 0, 0, 0)
        self.setSingleStep(0.01 if is_ratio else 10.0)
        self.setGroupSeparatorShown(True)
        self.setKeyboardTracking(False)
        self.valueChanged.connect(self.edited.emit)

    def show_value(self, value: Any) -> None:
        _quietly(self, lambda: self.setValue(float(value)))

    def textFromValue(self, value: float) -> str:  # noqa: N802
        return super().textFromValue(value).removesuffix(f"{self.locale().decimalPoint()}0")

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        event.ignore()


class ChoiceEditor(QComboBox):
    """Words to choose from; a value that is not among them is added when it is shown, in the words of `other`."""

    edited = Signal(object)

    def __init__(self, choices: Mapping[Any, str], other: Callable[[Any], str] = str) -> None:
        super().__init__()
        self._other = other
        self.set_choices(choices)
        self.activated.connect(lambda index: self.edited.emit(self.itemData(index)))

    def set_choices(self, choices: Mapping[Any, str]) -> None:
        """Offer other words; the value has to be shown again."""
        self.clear()
        for value, text in choices.items():
            self.addItem(text, value)

    def show_value(self, value: Any) -> None:
        index = self.findData(value)
        if index < 0:
            self.addItem(self._other(value), value)
            index = self.count() - 1
        self.setCurrentIndex(index)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        event.ignore()


class SegmentedEditor(Segmented):
    edited = Signal(object)

    def __init__(self, choices: Mapping[str, str], name: str) -> None:
        super().__init__(list(choices), labels=list(choices.values()), name=name)
        self.changed.connect(self.edited.emit)

    def show_value(self, value: Any) -> None:
        self.set_current(str(value))


class BoolEditor(QCheckBox):
    edited = Signal(object)

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.clicked.connect(self._clicked)

    def show_value(self, value: Any) -> None:
        self.setChecked(bool(value))

    def _clicked(self, is_on: bool) -> None:
        self.edited.emit(is_on)


class TextEditor(QLineEdit):
    """Free text; with `words` or a number type, what was typed is turned into that."""

    edited = Signal(object)

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__()
        self._spec = spec
        self._shown = ""
        self.setPlaceholderText(tr("a number or {words}", words=tr(" or ").join(spec.words)) if spec.words else "")
        self.editingFinished.connect(self._finished)

    def show_value(self, value: Any) -> None:
        self._shown = "" if value is None else num(f"{value:g}") if isinstance(value, float) else str(value)
        self.setText(self._shown)

    def _finished(self) -> None:
        text = self.text().strip()
        if text == self._shown:
            return
        self._shown = text
        self.edited.emit(self._value(text))

    def _value(self, text: str) -> Any:
        if self._spec.type in {int, float} and text not in self._spec.words:
            try:
                return self._spec.type(text.replace(",", "."))
            except ValueError:
                return text  # the recipe refuses it and says why
        return text


class PathEditor(PathField):
    edited = Signal(object)

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__(name=spec.title)
        self.changed.connect(lambda text: self.edited.emit(Path(text).expanduser() if text else None))

    def show_value(self, value: Any) -> None:
        self.set_path("" if value is None else str(value))


def make_editor(spec: FieldSpec) -> QWidget:
    """The editor for a field's type."""
    if spec.choices:
        return ChoiceEditor({word: word for word in spec.choices})
    if spec.type is bool:
        return BoolEditor(spec.title)
    if spec.words:
        return TextEditor(spec)
    if spec.type is int:
        return IntEditor(spec)
    if spec.type is float:
        return FloatEditor(spec)
    return PathEditor(spec) if issubclass(spec.type, Path) else TextEditor(spec)


def _quietly(widget: QWidget, change: Any) -> None:
    blocked = widget.blockSignals(True)
    change()
    widget.blockSignals(blocked)
