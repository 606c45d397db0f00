"""Try the files: a runtime of one's choice loads them in an environment of its own and measures them there."""

from __future__ import annotations

from PySide6.QtWidgets import QCheckBox, QComboBox, QMessageBox, QProgressBar

from dfrot_engine import Recipe
from dfrot_engine.recipe import NoRotation
from dfrot_engine.serve_check.environments import Environment, environments
from dfrot_engine.serve_check.text import lines_of, sentence_of
from dfrot_engine.units import format_bytes
from dfrot_engine.verdicts.table import facts
from dfrot_gui.pages.output_choice import OutputChoice
from dfrot_gui.side_process import SideProcess
from dfrot_gui.translation import mark, num, tr
from dfrot_gui.widgets import Button, Card, Notice, box, col, label, row
from dfrot_gui.widgets.basic import CardKind

TEXT = mark("Loads the files with a runtime on this computer's CPU, apart from this program, and measures perplexity.")
TRUST = mark("R4 is applied by code in the folder, which transformers runs only where it may")


class ServeCard(Card):
    """Asks before it installs anything."""

    def __init__(self, choice: OutputChoice, process: SideProcess) -> None:
        runtime, trust = QComboBox(), QCheckBox(tr("Run the folder's code"))
        try_button = Button(tr("Try it"), "play")
        stop_button = Button(tr("Stop"), "stop", tip=tr("Stop; a half made environment is made anew"))
        buttons = row(trust, runtime, try_button, stop_button, spacing=12)
        super().__init__(tr("Does it load here?"), tr(TEXT), right=box(buttons))
        self.runtime, self.trust, self.try_button, self.stop_button = runtime, trust, try_button, stop_button
        runtime.setAccessibleName(tr("Runtime"))
        trust.setAccessibleName(trust.text())
        trust.setToolTip(tr(TRUST))
        self._choice, self.process = choice, process
        self.line = label("", "small", wrap=True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the check"))
        self.result = Notice()
        self.add(col(self.line, self.bar, spacing=6))
        self.add(self.result)
        self.try_button.clicked.connect(self._try)
        self.stop_button.clicked.connect(process.stop)
        process.changed.connect(self.refresh)

    def set_output(self, recipe: Recipe | None) -> None:
        """Another output, which other runtimes may read."""
        export = self._choice.export
        is_gguf = export is not None and facts().exports[export.kind].files == "gguf"
        names = [env.check.name for env in environments() if ("folder" in env.runtime.commands) != is_gguf]
        if names != [self.runtime.itemText(place) for place in range(self.runtime.count())]:
            self.runtime.clear()
            self.runtime.addItems(names)
        self.trust.setVisible(recipe is not None and not isinstance(recipe.rotation.r4, NoRotation))
        self.refresh()

    def refresh(self) -> None:
        state, is_active = self.process.state, self.process.is_active
        self.runtime.setEnabled(not is_active)
        self.try_button.setVisible(not is_active)
        self.try_button.setEnabled(bool(self._choice.folder))
        self.stop_button.setVisible(is_active)
        self.stop_button.setEnabled(state.status != "stopping")
        self.line.setVisible(is_active)
        self.line.setText(tr("Stopping…") if state.status == "stopping" else state.label)
        self.bar.setVisible(is_active)
        self.bar.setValue(round(self.bar.maximum() * self.process.fraction))
        if is_active:
            self.result.hide()
        elif state.served is not None:
            kind: CardKind = "good" if state.served.is_within else "bad"
            self.result.show_message(kind, sentence_of(state.served), "\n".join(lines_of(state.served)))
        elif state.status in ("failed", "cancelled"):
            self.result.show_message("bad" if state.status == "failed" else "inset", state.message, state.remedy)
        else:
            self.result.hide()

    def _try(self) -> None:
        env = next(one for one in environments() if one.check.name == self.runtime.currentText())
        if env.state != "ready" and not self._may_install(env):
            return
        flags = [self._choice.folder, f"--runtime={env.check.name}", "--yes"]
        flags += ["--trust-remote-code"] if self.trust.isVisibleTo(self) and self.trust.isChecked() else []
        self.process.start("serve-check", flags)

    def _may_install(self, env: Environment) -> bool:
        question = tr("{runtime} is not installed. Make an environment for it?", runtime=env.runtime.name)
        details = tr(
            "pip downloads it; about {size} go to {folder}. `dfrot serve-check --remove {name}` deletes it again.",
            size=num(format_bytes(env.check.num_bytes)),
            folder=env.folder,
            name=env.check.name,
        )
        buttons = QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No
        asked = QMessageBox(QMessageBox.Icon.Question, tr("Install a runtime"), question, buttons, self)
        asked.setInformativeText(details)
        asked.setDefaultButton(QMessageBox.StandardButton.No)
        return asked.exec() == QMessageBox.StandardButton.Yes
