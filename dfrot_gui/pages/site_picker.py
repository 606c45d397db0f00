"""Where to look: at which input of the blocks, and in which of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from dfrot_gui.recipe_form.editors import ChoiceEditor
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import label, row

ALL_SITES, ALL_BLOCKS = mark("All inputs"), mark("All blocks")
#: What reads a site, as the engine names it → words.
TITLES = {"attention": mark("Attention input"), "mlp": mark("MLP input"), "attention, mlp": mark("Block input")}
NO_SITES = mark("This run has no errors by place: they are measured when the rotations are compared")


def site_titles(readers: Sequence[str]) -> tuple[str, ...]:
    """A title for each site; those of the same kind are numbered."""
    titles = [tr(TITLES.get(reader, reader)) for reader in readers]
    counts, seen = Counter(titles), Counter[str]()
    numbered = []
    for title in titles:
        seen[title] += 1
        numbered.append(f"{title} {seen[title]}" if counts[title] > 1 else title)
    return tuple(numbered)


class SitePicker(QWidget):
    """`changed` when the user has picked another place; None stands for all of them."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._sites: tuple[str, ...] | None = None
        self._num_blocks = 0
        self.sites, self.blocks = ChoiceEditor({None: tr(ALL_SITES)}), ChoiceEditor({None: tr(ALL_BLOCKS)})
        for editor, name in ((self.sites, tr("Input")), (self.blocks, tr("Block"))):
            editor.setAccessibleName(name)
            editor.setMinimumWidth(150)
            editor.edited.connect(lambda _: self.changed.emit())
        self.setLayout(row(label(tr("Where"), "small"), self.sites, self.blocks, None, spacing=10))
        self.set_places((), 0)

    @property
    def site(self) -> int | None:
        return self.sites.currentData()

    @property
    def block(self) -> int | None:
        return self.blocks.currentData()

    def set_places(self, readers: Sequence[str], num_blocks: int) -> None:
        """What there is to pick from; another run's places let go of what was picked."""
        titles = site_titles(readers)
        if titles != self._sites:
            self._sites = titles
            self.sites.set_choices({None: tr(ALL_SITES), **dict(enumerate(titles))})
            self.sites.setEnabled(bool(titles))
            self.sites.setToolTip(tr("Which input of the blocks is drawn") if titles else tr(NO_SITES))
        if num_blocks != self._num_blocks:
            self._num_blocks = num_blocks
            self.blocks.set_choices(
                {None: tr(ALL_BLOCKS), **{one: tr("Block {block}", block=one) for one in range(num_blocks)}}
            )
            self.blocks.setToolTip(tr("Which block's tokens and linears are drawn"))

    def pick_block(self, block: int | None) -> None:
        """As if the user had."""
        if block != self.block and (block is None or block < self._num_blocks):
            self.blocks.show_value(block)
            self.changed.emit()
