"""The left side of the window: the four steps, the past runs, this computer, the appearance."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QApplication, QButtonGroup, QFrame, QLabel, QProgressBar, QSizePolicy

from dfrot_gui.background import Latest
from dfrot_gui.computer import GpuMonitor, MemoryUse, cpu_line, ram
from dfrot_gui.quantities import format_bytes
from dfrot_gui.theme import Mode, px
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, Card, IconLabel, NavButton, Segmented, col, label, row, tab_to_checked

MODES = {"system": mark("System"), "light": mark("Light"), "dark": mark("Dark")}
REFRESH_MS = 2000
#: At least; large text takes more.
WIDTH = 224


class Step(NamedTuple):
    title: str
    icon: str


STEPS = (
    Step(mark("Model"), "cube"),
    Step(mark("Recipe"), "sliders-horizontal"),
    Step(mark("Run"), "play"),
    Step(mark("Results"), "chart-line-up"),
    Step(mark("History"), "clock-counter-clockwise"),
)
#: The first of those that are no part of the way from a model to its results.
BESIDE = 4


class Sidebar(QFrame):
    """`step_chosen` carries the number of a step, `mode_chosen` "system", "light" or "dark"."""

    step_chosen = Signal(int)
    mode_chosen = Signal(str)
    help_asked = Signal()

    def __init__(self, product: str, mode: Mode) -> None:
        super().__init__()
        self.setObjectName("sidebar")
        self.setMinimumWidth(WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        logo = QLabel()
        logo.setPixmap(QApplication.windowIcon().pixmap(px(28), px(28)))
        self.help = Button(icon="question", kind="ghost", tip=tr("Help (F1)"))
        self.help.setAccessibleName(tr("Help"))
        self.help.clicked.connect(self.help_asked)
        head = row(logo, label(product, "h2"), None, self.help, spacing=10, margins=(4, 0, 0, 0))
        caption = label(tr("WORKFLOW"), "caps")
        caption.setContentsMargins(10, 0, 0, 4)
        layout = col(head, 20, caption, spacing=4, margins=(14, 18, 14, 14))
        self._group = QButtonGroup(self)
        self.buttons: list[NavButton] = []
        for number, step in enumerate(STEPS):
            if number == BESIDE:
                beside = label(tr("RUNS"), "caps")
                beside.setContentsMargins(10, 14, 0, 4)
                layout.addWidget(beside)
            button = NavButton(
                tr(step.title), step.icon, tip=tr("{title} (Ctrl+{number})", title=tr(step.title), number=number + 1)
            )
            self.buttons.append(button)
            self._group.addButton(button, number)
            layout.addWidget(button)
        self._group.idClicked.connect(self.step_chosen)
        self.appearance = Segmented(list(MODES), labels=[*map(tr, MODES.values())], current=mode, name=tr("Appearance"))
        self.appearance.changed.connect(self.mode_chosen)
        layout.addStretch(1)
        layout.addWidget(ComputerCard())
        layout.addSpacing(8)
        layout.addLayout(row(None, self.appearance, None))
        self.setLayout(layout)

    def show_step(self, number: int) -> None:
        self._group.button(number).setChecked(True)
        tab_to_checked(self._group.buttons())

    def set_done(self, number: int, is_done: bool) -> None:
        self.buttons[number].set_done(is_done)


class ComputerCard(Card):
    """Cores and memory of this computer, and of its GPU if there is one."""

    def __init__(self) -> None:
        super().__init__(kind="inset", margins=(12, 10, 12, 10), spacing=6)
        self._gpu: GpuMonitor | None = None
        self._bars: dict[str, tuple[QProgressBar, QLabel]] = {}
        self.setAccessibleName(tr("This computer"))
        self.add(row(IconLabel("cpu", 17, "muted"), label(tr("This computer"), "h2"), None, spacing=8))
        self.add(label(cpu_line(), "small"))
        self._show(ram())
        self._timer = QTimer(self, interval=REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        self._timer.start()
        # The driver can take a while to answer for the first time.
        self._finder = Latest(self, parallel=1)
        self._finder.answered.connect(self._take_gpu)
        self._finder.ask(GpuMonitor)

    def refresh(self) -> None:
        if not self.isVisible():
            return
        self._show(ram())
        if self._gpu is not None and (memory := self._gpu.memory()) is not None:
            self._show(memory)

    def _take_gpu(self, gpu: GpuMonitor) -> None:
        self._gpu = gpu if gpu.name else None
        self.refresh()

    def _show(self, memory: MemoryUse) -> None:
        if memory.name not in self._bars:
            bar, text = QProgressBar(), label("", "small")
            bar.setTextVisible(False)
            bar.setAccessibleName(tr("{name} in use", name=memory.name))
            if self._bars:
                self.add(label(memory.name, "small", wrap=True))
            self.add(bar)
            self.add(text)
            self._bars[memory.name] = (bar, text)
        bar, text = self._bars[memory.name]
        bar.setValue(round(100 * memory.used / memory.total))
        text.setText(tr("{used:.1f} of {total} in use", used=memory.used / 1e9, total=format_bytes(memory.total)))
