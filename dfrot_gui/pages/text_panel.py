"""The original and the quantized model side by side: one prompt, two answers as they are written."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QSpinBox, QTextEdit, QVBoxLayout, QWidget

from dfrot_engine.generation.types import Answer, Side
from dfrot_gui.pages.output_choice import OutputChoice
from dfrot_gui.run_model import RunModel
from dfrot_gui.run_tables import Table
from dfrot_gui.side_process import SideProcess
from dfrot_gui.theme import Theme
from dfrot_gui.widgets import Button, Card, Notice, box, col, label, row

PROMPT = "Explain in three sentences why the sky is blue."
TITLES: dict[Side, str] = {"original": "Original", "quantized": "Quantized"}
STAGES = {"write": "Writing…"}
NO_FILES = "Nothing was written, so there is no model to ask."
MOST_TOKENS, USUAL_TOKENS = 4_096, 128


class TextPanel(QWidget):
    """Asks both models of the run that is shown."""

    def __init__(self, runs: RunModel, process: SideProcess) -> None:
        super().__init__()
        self._runs, self.process = runs, process
        self._asked = ""
        self.choice = OutputChoice()
        self._build_fields()
        self.answers = {side: _text_box(f"Answer of the {side} model") for side in TITLES}
        self.notes = {side: label("", "small") for side in TITLES}
        self.line = label("", "small", wrap=True)
        self.notice = Notice()
        self.setLayout(self._layout())
        self.ask_button.clicked.connect(self.ask)
        self.stop_button.clicked.connect(process.stop)
        process.changed.connect(self.refresh)
        self.choice.currentIndexChanged.connect(self.refresh)
        self.prompt.textChanged.connect(self.refresh)
        Theme.get().changed.connect(self._mark_where_they_part)
        self.refresh()

    def _build_fields(self) -> None:
        self.prompt = QTextEdit()
        self.prompt.setAcceptRichText(False)
        self.prompt.setPlainText(PROMPT)
        self.prompt.setTabChangesFocus(True)
        self.prompt.setFixedHeight(76)
        self.prompt.setAccessibleName("Prompt")
        self.tokens = _spin("Tokens at most", 1, MOST_TOKENS, USUAL_TOKENS)
        self.seed = _spin("Seed", 0, 2**31 - 1, 0)
        self.temperature = QDoubleSpinBox()
        self.temperature.setRange(0.0, 5.0)
        self.temperature.setSingleStep(0.1)
        self.temperature.setDecimals(2)
        self.temperature.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.temperature.setAccessibleName("Temperature")
        self.temperature.setToolTip("0 takes the likeliest token every time; with more, both models draw alike")
        self.chat = QCheckBox("As a chat")
        self.chat.setChecked(True)
        self.chat.setAccessibleName(self.chat.text())
        self.chat.setToolTip("Put the prompt into the model's chat template, if it has one")
        self.ask_button = Button("Ask both", "chat-text", "primary")
        self.stop_button = Button("Stop", "stop", tip="Stop writing; what is there stays")

    def _layout(self) -> QVBoxLayout:
        asked = Card("Ask both models", "The same prompt, the same draws; what differs is what rounding changed.")
        asked.add(self.prompt)
        fields = ((self.tokens, "Tokens at most"), (self.temperature, "Temperature"), (self.seed, "Seed"))
        named = [col(label(name, "small"), field, spacing=3) for field, name in fields]
        buttons = row(self.choice, self.chat, self.ask_button, self.stop_button, spacing=12)
        asked.add(row(*named, None, col(None, buttons), spacing=14))
        asked.add(self.line)
        asked.add(self.notice)
        columns: list[tuple[QWidget, int]] = []
        for side, title in TITLES.items():
            card = Card(title, right=box(row(self.notes[side])))
            card.add(self.answers[side], 1)
            columns.append((card, 1))
        return col(asked, (row(*columns, spacing=16), 1), spacing=16)

    def table(self) -> Table:
        """What was asked and answered, for a report."""
        texts = self.process.state.written
        answers = ((title, texts[side]) for side, title in TITLES.items() if side in texts)
        return Table(("", ""), (("Prompt", self._asked), *answers)) if texts else Table()

    def ask(self) -> None:
        recipe, options = self._runs.recipe, self._runs.options
        self._asked = self.prompt.toPlainText()
        flags = [self._folder(), f"--prompt={self._asked}", f"--tokens={self.tokens.value()}"]
        flags += [f"--temperature={self.temperature.value():g}", f"--seed={self.seed.value()}"]
        flags += [] if self.chat.isChecked() else ["--plain"]
        if recipe is not None:
            flags += [f"--original={recipe.model.id_or_path}", f"--revision={recipe.model.revision}"]
        if options is not None:
            flags += [f"--device={options.device}", f"--threads={options.threads}"]
        self.process.start("generate", flags)

    def refresh(self) -> None:
        state, is_active = self.process.state, self.process.is_active
        self.choice.set_outputs(self._runs.recipe, self._runs.state.outputs)
        self.choice.setEnabled(not is_active)
        reason = self._why_not()
        self.ask_button.setVisible(not is_active)
        self.ask_button.setEnabled(not reason)
        self.ask_button.setToolTip(reason)
        self.stop_button.setVisible(is_active)
        self.stop_button.setEnabled(state.status != "stopping")
        for side, shown in self.answers.items():
            text = state.written.get(side, "")
            if text != shown.toPlainText():
                _show(shown, text)
            self.notes[side].setText("")
        for answer in state.generation.answers if state.generation else ():
            self.notes[answer.side].setText(_pace(answer))
        self._mark_where_they_part()
        self.line.setText(self._line())
        self.line.setVisible(bool(self.line.text()))
        if state.status == "failed":
            self.notice.show_message("bad", state.message, state.remedy)
        else:
            self.notice.hide()

    def _line(self) -> str:
        state = self.process.state
        if self.process.is_active:
            return "Stopping…" if state.status == "stopping" else STAGES.get(state.stage, state.label)
        result = state.generation
        if result is None:
            return self._why_not() if not self.prompt.toPlainText().strip() or not self._folder() else ""
        how = "with the chat template" if result.used_template else "without a chat template"
        turns = "" if result.together else "; one after the other, since the memory does not hold both"
        return f"{self._agreement()} Asked {how}{turns}."

    def _agreement(self) -> str:
        original, quantized = (self.process.state.written.get(side, "") for side in TITLES)
        if not original:
            return ""
        if original == quantized:
            return "Both wrote the same, to the letter."
        share = num_common(original, quantized)
        return f"The same for the first {share:,} characters; from there on they differ."

    def _why_not(self) -> str:
        if self._runs.is_active:
            return "A run is going on."
        if not self._folder():
            return NO_FILES
        return "" if self.prompt.toPlainText().strip() else "Write a prompt first."

    def _folder(self) -> str:
        return self.choice.folder

    def _mark_where_they_part(self) -> None:
        """Colour what follows the part that both have in common, once both are done."""
        texts = {side: shown.toPlainText() for side, shown in self.answers.items()}
        common = texts["original"][: num_common(*texts.values())]
        start = len(common.encode("utf-16-le")) // 2  # as Qt counts
        is_done = self.process.state.generation is not None and all(texts.values())
        for shown in self.answers.values():
            shown.setExtraSelections([_marked(shown, start)] if is_done else [])


def num_common(one: str, other: str) -> int:
    """Of the characters that both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (mine, its) in pairs if mine != its), min(len(one), len(other)))


def _marked(shown: QTextEdit, start: int) -> QTextEdit.ExtraSelection:
    look = QTextCharFormat()
    look.setBackground(QColor(Theme.get().t.warn_soft))
    cursor = QTextCursor(shown.document())
    cursor.setPosition(start)
    cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
    selection = QTextEdit.ExtraSelection()
    selection.cursor, selection.format = cursor, look  # pyright: ignore[reportAttributeAccessIssue]
    return selection


def _show(box_of_text: QTextEdit, text: str) -> None:
    """The end stays in view unless the user scrolled up."""
    bar = box_of_text.verticalScrollBar()
    is_at_end = bar.value() >= bar.maximum() - 2
    box_of_text.setPlainText(text)
    if is_at_end:
        bar.setValue(bar.maximum())


def _pace(answer: Answer) -> str:
    end = "" if answer.has_ended else ", cut off"
    return f"{answer.tokens:,} tokens{end} · {answer.tokens / max(answer.seconds, 1e-9):.1f} a second"


def _text_box(name: str) -> QTextEdit:
    shown = QTextEdit()
    shown.setReadOnly(True)
    shown.setTabChangesFocus(True)
    shown.setMinimumHeight(220)
    shown.setAccessibleName(name)
    return shown


def _spin(name: str, least: int, most: int, value: int) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(least, most)
    spin.setGroupSeparatorShown(True)
    spin.setAlignment(Qt.AlignmentFlag.AlignHCenter)
    spin.setValue(value)
    spin.setAccessibleName(name)
    return spin
