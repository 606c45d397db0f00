"""What to do with the files: load them, serve them, check them again, try them, push them to the Hub."""

from __future__ import annotations

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QCheckBox, QLineEdit, QProgressBar, QVBoxLayout, QWidget

from dfrot_engine import Output, Recipe, Verdict
from dfrot_engine.nvidia import gpu_capabilities
from dfrot_engine.proof.types import TITLES, failures
from dfrot_engine.recipe import Export
from dfrot_engine.verdicts.judge import recipe_verdicts
from dfrot_gui.pages.output_choice import OutputChoice
from dfrot_gui.pages.result_files import FilesCard
from dfrot_gui.pages.serve_card import ServeCard
from dfrot_gui.pages.verdict_table import VerdictTable
from dfrot_gui.result_words import snippets
from dfrot_gui.run_model import RunModel
from dfrot_gui.side_process import SideProcess
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, Card, Notice, col, label, row
from dfrot_gui.widgets.basic import CardKind

CHECK = mark("Compares every file with the hash that the run noted and, while the work folder is there, every tensor.")
PUSH = mark("Uploads the folder with its model card. A repository that is there keeps its visibility.")


class SharePanel(QWidget):
    """One output of the run that is shown."""

    def __init__(self, runs: RunModel, checking: SideProcess, serving: SideProcess, pushing: SideProcess) -> None:
        super().__init__()
        self._runs, self.checking, self.pushing = runs, checking, pushing
        self.choice = OutputChoice()
        self.serve = ServeCard(self.choice, serving)
        self.files = FilesCard()
        self.verdicts = VerdictTable()
        self._build_check()
        self._build_push()
        self.setLayout(self._layout())
        self.choice.currentIndexChanged.connect(self._show_other)
        checking.changed.connect(self.refresh)
        serving.changed.connect(self.refresh)
        pushing.changed.connect(self.refresh)
        self.repo.textChanged.connect(self.refresh)
        self.refresh()

    def set_outputs(self) -> None:
        """Show the folders of the run that is shown."""
        self.choice.set_outputs(self._runs.recipe, self._runs.state.outputs)
        folder = self._folder()
        self.files.set_files(folder, snippets(self._runs.recipe, folder))
        self.verdicts.set_verdicts(self._verdicts())
        self.serve.set_output(self._runs.recipe)
        self.setEnabled(bool(folder))
        self.refresh()

    def _show_other(self) -> None:
        """What was found out about one output says nothing of another."""
        for process in (self.checking, self.serve.process, self.pushing):
            process.forget()
        self.set_outputs()

    def shown_verdicts(self) -> tuple[Verdict, ...]:
        """Which runtimes load what was written."""
        return self._verdicts() if self._folder() else ()

    def refresh(self) -> None:
        processes = (self.checking, self.serve.process, self.pushing)
        self.choice.setEnabled(not any(process.is_active for process in processes))
        self._refresh_check()
        self._refresh_push()

    def _build_check(self) -> None:
        self.check_button = Button(tr("Check again"), "shield-check")
        self.check_result = Notice()
        self.check_button.clicked.connect(lambda: self.checking.start("verify", [self._folder()]))

    def _build_push(self) -> None:
        self.repo = QLineEdit()
        self.repo.setPlaceholderText("USER/NAME")
        self.repo.setAccessibleName(tr("Repository on the Hub"))
        self.private = QCheckBox(tr("Private"))
        self.private.setChecked(True)
        self.private.setToolTip(tr("Only you see a repository that is made"))
        self.replace = QCheckBox(tr("Replace what is there"))
        self.replace.setToolTip(tr("A repository that already holds files is made to hold this folder instead"))
        self.unproven = QCheckBox(tr("Also without a proof"))
        self.unproven.setToolTip(tr("Push although the proof failed, was left out, or files have changed since"))
        self.push_button = Button(tr("Push to the Hub"), "cloud-arrow-up", "primary")
        self.stop_button = Button(tr("Stop"), "stop", tip=tr("Stop; what has arrived is not sent again"))
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the upload"))
        self.push_line = label("", "small", wrap=True)
        self.push_result = Notice(tr("Open page"))
        self.push_result.activated.connect(lambda: QDesktopServices.openUrl(QUrl(self.pushing.state.outputs[0])))
        self.push_button.clicked.connect(self._push)
        self.repo.returnPressed.connect(self._push)
        self.stop_button.clicked.connect(self.pushing.stop)
        for check in (self.private, self.replace, self.unproven):
            check.setAccessibleName(check.text())

    def _layout(self) -> QVBoxLayout:
        loads = Card(tr("Where it loads"), tr("By the table of runtimes; the buttons copy the commands."))
        loads.add(self.verdicts)
        check = Card(tr("Is it still what was written?"), tr(CHECK), right=self.check_button)
        check.add(self.check_result)
        push = Card(tr("Push to the Hub"), tr(PUSH))
        push.add(row((self.repo, 1), self.private, self.push_button, self.stop_button, spacing=12))
        push.add(row(self.replace, self.unproven, None, spacing=18))
        push.add(col(self.push_line, self.bar, spacing=6))
        push.add(self.push_result)
        return col(self.choice, self.files, loads, check, self.serve, push, None, spacing=16)

    def _folder(self) -> str:
        return self.choice.folder

    def _verdicts(self) -> tuple[Verdict, ...]:
        recipe, outputs = self._runs.recipe, self._runs.state.outputs
        if recipe is None:
            return ()
        here = gpu_capabilities()
        return tuple(
            verdict
            for export, folder in zip(recipe.exports, outputs, strict=False)
            for verdict in recipe_verdicts(recipe, _output(recipe, export, folder), here)
        )

    def _push(self) -> None:
        if not self.push_button.isEnabled() or self.pushing.is_active:
            return
        flags = [self._folder(), f"--repo={self.repo.text().strip()}"]
        flags += [] if self.private.isChecked() else ["--public"]
        flags += ["--yes"] if self.replace.isChecked() else []
        flags += ["--unproven"] if self.unproven.isChecked() else []
        self.pushing.start("push", flags)

    def _refresh_check(self) -> None:
        state, is_active = self.checking.state, self.checking.is_active
        self.check_button.setEnabled(not is_active and bool(self._folder()))
        # The note of what was not done begins with these words.
        words = [one.note if one.passed is None else f"{tr(one.verdict)}. {one.note}" for one in state.proof]
        lines = [f"{tr(TITLES[one.check])}: {text}".strip() for one, text in zip(state.proof, words, strict=True)]
        if is_active:
            self.check_result.show_message("inset", tr("Checking…"), "\n".join(lines))
        elif state.status in ("failed", "cancelled"):
            self.check_result.show_message("bad", state.message, state.remedy)
        elif failures(state.proof):
            self.check_result.show_message("bad", tr("It is not what was written. Do not use it."), "\n".join(lines))
        elif state.proof:
            num_passed = sum(one.passed is True for one in state.proof)
            title = tr(
                "Everything that could be checked is right ({passed} of {count} checks done).",
                passed=num_passed,
                count=len(state.proof),
            )
            self.check_result.show_message("good", title, "\n".join(lines))
        else:
            self.check_result.hide()

    def _refresh_push(self) -> None:
        state, is_active = self.pushing.state, self.pushing.is_active
        self.push_button.setVisible(not is_active)
        self.push_button.setEnabled(bool(self._folder()) and bool(self.repo.text().strip()))
        self.push_button.setToolTip("" if self.push_button.isEnabled() else tr("Name a repository first"))
        self.stop_button.setVisible(is_active)
        self.stop_button.setEnabled(state.status != "stopping")
        self.bar.setVisible(is_active)
        self.bar.setValue(round(self.bar.maximum() * self.pushing.fraction))
        self.push_line.setVisible(is_active)
        self.push_line.setText(tr("Stopping…") if state.status == "stopping" else state.label)
        kinds: dict[str, CardKind] = {"finished": "good", "failed": "bad", "cancelled": "inset"}
        if not is_active and state.status in kinds:
            self.push_result.show_message(kinds[state.status], state.message, state.remedy, can_act=bool(state.outputs))
        else:
            self.push_result.hide()


def _output(recipe: Recipe, export: Export, folder: str) -> Output:
    return Output(exporter=export.kind, folder=folder, bytes=0, label=recipe.label(export))
