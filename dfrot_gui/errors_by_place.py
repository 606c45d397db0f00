"""Per-token errors at a picked place: read and sorted in a thread, since a file holds every sampled token."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from dfrot_engine.charts import TokenErrors
from dfrot_engine.site_charts import SiteErrors
from dfrot_gui.background import Latest
from dfrot_gui.run_parts import ChartFile

File = tuple[Path, ChartFile]


class ErrorsByPlace(QObject):
    """The newest answer for one place; `known` when there is another one."""

    known = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._asked: tuple[File, int | None, int | None] | None = None
        self._answer: tuple[int | None, int | None, TokenErrors] | None = None
        self._reads = Latest(self, parallel=1)
        self._reads.answered.connect(self._take)
        self._reads.failed.connect(lambda _: self._take(TokenErrors({})))

    @property
    def is_reading(self) -> bool:
        return self._reads.is_busy

    def at(self, file: File | None, site: int | None, block: int | None) -> TokenErrors | None:
        """What is known of a place, if need be from the file before; None while nothing is."""
        if file is None:
            return None
        # A file that is replaced again and again would overtake its own answer: one is read to the end.
        is_coming = self.is_reading and self._asked is not None and self._asked[1:] == (site, block)
        if self._asked != (file, site, block) and not is_coming:
            self._asked = (file, site, block)
            self._reads.ask(lambda: SiteErrors.load(file[0]).at(site, block))
        return self._answer[2] if self._answer and self._answer[:2] == (site, block) else None

    def _take(self, errors: TokenErrors) -> None:
        assert self._asked
        self._answer = (*self._asked[1:], errors)
        self.known.emit()
