"""A chart in a card: title, a line below it, a legend, a button to save it."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from dfrot_gui.charts.base import Plot
from dfrot_gui.charts.menu import chart_menu
from dfrot_gui.theme import Theme
from dfrot_gui.translation import tr
from dfrot_gui.widgets import Button, Card, box, row


class ChartCard(Card):
    """Shows a chart; `refresh_legend` after its series changed."""

    def __init__(self, chart: Plot, subtitle: str = "", tools: QWidget | None = None) -> None:
        save = Button("", "download-simple", "ghost", tip=tr("Save or copy: {title}", title=chart.title))
        right = box(row(*([tools] if tools else []), save, spacing=12))
        super().__init__(chart.title, subtitle, right=right, margins=(18, 12, 14, 10), spacing=6)
        self.chart = chart
        self.legend_label = QLabel()
        self.legend_label.setTextFormat(Qt.TextFormat.RichText)
        self.legend_label.setProperty("role", "small")
        self.legend_label.setWordWrap(True)
        self.legend_label.hide()
        self.add(self.legend_label)
        self.add(chart, 1)
        save.clicked.connect(lambda: self._show_menu(save))
        Theme.get().changed.connect(self.refresh_legend)

    def set_subtitle(self, text: str) -> None:
        self.subtitle_label.setText(text)
        self.subtitle_label.setVisible(bool(text))

    def show_legend(self) -> None:
        """For charts whose series cannot be switched off; those that can bring a Legend among their tools."""
        self.legend_label.setProperty("isWanted", True)
        self.refresh_legend()

    def refresh_legend(self) -> None:
        if not self.legend_label.property("isWanted"):
            return
        entries = self.chart.legend()
        # No line ends inside an entry.
        names = [(escape(name).replace(" ", "&nbsp;"), color) for name, color in entries]
        parts = [f"<span style='color:{color}'>■</span>&nbsp;{name}" for name, color in names]
        self.legend_label.setText(" &nbsp; ".join(parts))
        self.legend_label.setVisible(bool(entries))

    def _show_menu(self, button: Button) -> None:
        menu = chart_menu(self.chart, button)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(button.mapToGlobal(button.rect().bottomLeft()))
