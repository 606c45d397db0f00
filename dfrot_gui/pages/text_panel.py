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
from dfrot_gui.theme import Theme, px
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, Card, Notice, box, col, label, row

PROMPT = mark("Explain in three sentences why the sky is blue.")
TITLES: dict[Side, str] = {"original": mark("Original"), "quantized": mark("Quantized")}
ANSWERS: dict[Side, str] = {
    "original": mark("Answer of the original model"),
    "quantized": mark("Answer of the quantized model"),
}
#: By whether the chat template was used, and both models were in memory together.
ASKED = {
    (True, True): mark("Asked with the chat template."),
    (False, True): mark("Asked without a chat template."),
    (True, False): mark("Asked with the chat template; one after the other, since the memory does not hold both."),
    (False, False): mark("Asked without a chat template; one after the other, since the memory does not hold both."),
}
PACE, CUT_PACE = (
    mark("{tokens:,} tokens · {pace:.1f} a second"),
    mark("{tokens:,} tokens, cut off · {pace:.1f} a second"),
)
STAGES = {"write": mark("Writing…")}
NO_FILES = mark("Nothing was written, so there is no model to ask.")
MOST_TOKENS, USUAL_TOKENS = 4_096, 128


class TextPanel(QWidget):
    """Asks both models of the run that is shown."""

    def __init__(self, runs: RunModel, process: SideProcess) -> None:
        super().__init__()
        self._runs, self.process = runs, process
        self._asked = ""
        self.choice = OutputChoice()
        self._build_fields()
        self.answers = {side: _text_box(tr(name)) for side, name in ANSWERS.items()}
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
        self.prompt.setPlainText(tr(PROMPT))
        self.prompt.setTabChangesFocus(True)
        self.prompt.setFixedHeight(px(76))
        self.prompt.setAccessibleName(tr("Prompt"))
        self.tokens = _spin(tr("Tokens at most"), 1, MOST_TOKENS, USUAL_TOKENS)
        self.seed = _spin(tr("Seed"), 0, 2**31 - 1, 0)
        self.temperature = QDoubleSpinBox()
        self.temperature.setRange(0.0, 5.0)
        self.temperature.setSingleStep(0.1)
        self.temperature.setDecimals(2)
        self.temperature.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.temperature.setAccessibleName(tr("Temperature"))
        self.temperature.setToolTip(tr("0 takes the likeliest token every time; with more, both models draw alike"))
        self.chat = QCheckBox(tr("As a chat"))
        self.chat.setChecked(True)
        self.chat.setAccessibleName(self.chat.text())
        self.chat.setToolTip(tr("Put the prompt into the model's chat template, if it has one"))
        self.ask_button = Button(tr("Ask both"), "chat-text", "primary")
        self.stop_button = Button(tr("Stop"), "stop", tip=tr("Stop writing; what is there stays"))

    def _layout(self) -> QVBoxLayout:
        asked = Card(
            tr("Ask both models"), tr("The same prompt, the same draws; what differs is what rounding changed.")
        )
        asked.add(self.prompt)
        fields = ((self.tokens, tr("Tokens at most")), (self.temperature, tr("Temperature")), (self.seed, tr("Seed")))
        named = [col(label(name, "small"), field, spacing=3) for field, name in fields]
        buttons = row(self.choice, self.chat, self.ask_button, self.stop_button, spacing=12)
        asked.add(row(*named, None, col(None, buttons), spacing=14))
        asked.add(self.line)
        asked.add(self.notice)
        columns: list[tuple[QWidget, int]] = []
        for side, title in TITLES.items():
            card = Card(tr(title), right=box(row(self.notes[side])))
            card.add(self.answers[side], 1)
            columns.append((card, 1))
        return col(asked, (row(*columns, spacing=16), 1), spacing=16)

    def table(self) -> Table:
        """What was asked and answered, for a report."""
        texts = self.process.state.written
        answers = ((tr(title), texts[side]) for side, title in TITLES.items() if side in texts)
        return Table(("", ""), ((tr("Prompt"), self._asked), *answers)) if texts else Table()

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
            return tr("Stopping…") if state.status == "stopping" else tr(STAGES.get(state.stage, state.label))
        result = state.generation
        if result is None:
            return self._why_not() if not self.prompt.toPlainText().strip() or not self._folder() else ""
        return f"{self._agreement()} {tr(ASKED[result.used_template, result.together])}"

    def _agreement(self) -> str:
        original, quantized = (self.process.state.written.get(side, "") for side in TITLES)
        if not original:
            return ""
        if original == quantized:
            return tr("Both wrote the same, to the letter.")
        share = num_common(original, quantized)
        return tr("The same for the first {share:,} characters; from there on they differ.", share=share)

    def _why_not(self) -> str:
        if self._runs.is_active:
            return tr("A run is going on.")
        if not self._folder():
            return tr(NO_FILES)
        return "" if self.prompt.toPlainText().strip() else tr("Write a prompt first.")

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
    template = PACE if answer.has_ended else CUT_PACE
    return tr(template, tokens=answer.tokens, pace=answer.tokens / max(answer.seconds, 1e-9))


def _text_box(name: str) -> QTextEdit:
    shown = QTextEdit()
    shown.setReadOnly(True)
    shown.setTabChangesFocus(True)
    shown.setMinimumHeight(px(220))
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
