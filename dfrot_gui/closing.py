"""What is to become of a run when the window is closed."""

from __future__ import annotations

from typing import Literal

from PySide6.QtWidgets import QMessageBox, QWidget

from dfrot_gui.translation import tr

#: "stay" keeps the window.
Closing = Literal["background", "stop", "stay"]


def ask_how_to_close(window: QWidget) -> Closing:
    """Ask, while a run is going on."""
    question = QMessageBox(window)
    question.setIcon(QMessageBox.Icon.Question)
    question.setWindowTitle(window.windowTitle())
    question.setText(tr("A run is going on."))
    question.setInformativeText(
        tr(
            "It can go on in the background; History shows it when the window is opened again. "
            "If you stop it, everything finished so far is kept and it can be resumed later."
        )
    )
    keep = question.addButton(tr("Keep running in the background"), QMessageBox.ButtonRole.AcceptRole)
    stop = question.addButton(tr("Stop and close"), QMessageBox.ButtonRole.DestructiveRole)
    stay = question.addButton(tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
    question.setDefaultButton(stay)
    question.setEscapeButton(stay)
    question.exec()
    answers: dict[object, Closing] = {keep: "background", stop: "stop"}
    return answers.get(question.clickedButton(), "stay")
