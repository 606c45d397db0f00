"""Which of a run's outputs is meant, where there are several."""

from __future__ import annotations

from PySide6.QtWidgets import QComboBox

from dfrot_engine import Recipe
from dfrot_engine.recipe import Export
from dfrot_gui.translation import mark, tr

TIP = mark("The run wrote several kinds of files; what is done here is done with these")


class OutputChoice(QComboBox):
    """Hidden while there is nothing to choose; the choice stays while the outputs do."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Files that are meant"))
        self.setToolTip(tr(TIP))
        self.setVisible(False)
        self._exports: tuple[Export, ...] = ()

    def set_outputs(self, recipe: Recipe | None, outputs: tuple[str, ...]) -> None:
        """
        Args:
            recipe: of the run, whose exports lie in these folders, in this order.
        """
        exports = recipe.exports if recipe else ()
        named = (
            {folder: recipe.label(export) for export, folder in zip(exports, outputs, strict=False)} if recipe else {}
        )
        names = [named.get(folder, folder) for folder in outputs]
        if names == [self.itemText(place) for place in range(self.count())] and list(outputs) == self._folders():
            return
        self._exports = exports
        self.blockSignals(True)
        self.clear()
        for name, folder in zip(names, outputs, strict=True):
            self.addItem(name, folder)
        self.blockSignals(False)
        self.setVisible(len(outputs) > 1)
        self.currentIndexChanged.emit(self.currentIndex())

    @property
    def folder(self) -> str:
        """ "" where nothing was written."""
        return self.currentData() or ""

    @property
    def export(self) -> Export | None:
        """None where the recipe is not known."""
        place = self.currentIndex()
        return self._exports[place] if 0 <= place < len(self._exports) else None

    def _folders(self) -> list[str]:
        return [self.itemData(place) for place in range(self.count())]
