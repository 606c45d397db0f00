"""Where to look: at which input of the blocks, and in which of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from dfrot_gui.recipe_form.editors import ChoiceEditor
from dfrot_gui.widgets import label, row

ALL_SITES, ALL_BLOCKS = "All inputs", "All blocks"
#: What reads a site, as the engine names it → words.
TITLES = {"attention": "Attention input", "mlp": "MLP input", "attention, mlp": "Block input"}
NO_SITES = "This run has no errors by place: they are measured when the rotations are compared"


def site_titles(readers: Sequence[str]) -> tuple[str, ...]:
    """A title for each site; those of the same kind are numbered."""
    titles = [TITLES.get(reader, reader) for reader in readers]
    counts, seen = Counter(titles), Counter[str]()
    numbered = []
    for title in titles:
        seen[title] += 1
        numbered.append(f"{title} {seen[title]}" if counts[title] > 1 else title)
    return tuple(numbered)


def in_sentence(title: str) -> str:
    """ "Attention input" → "attention input"; "MLP input" stays."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


class SitePicker(QWidget):
    """`changed` when the user has picked another place; None stands for all of them."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._sites: tuple[str, ...] | None = None
        self._num_blocks = 0
        self.sites, self.blocks = ChoiceEditor({None: ALL_SITES}), ChoiceEditor({None: ALL_BLOCKS})
        for editor, name in ((self.sites, "Input"), (self.blocks, "Block")):
            editor.setAccessibleName(name)
            editor.setMinimumWidth(150)
            editor.edited.connect(lambda _: self.changed.emit())
        self.setLayout(row(label("Show", "small"), self.sites, self.blocks, None, spacing=10))
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
            self.sites.set_choices({None: ALL_SITES, **dict(enumerate(titles))})
            self.sites.setEnabled(bool(titles))
            self.sites.setToolTip("Which input of the blocks is drawn" if titles else NO_SITES)
        if num_blocks != self._num_blocks:
            self._num_blocks = num_blocks
            self.blocks.set_choices({None: ALL_BLOCKS, **{one: f"Block {one}" for one in range(num_blocks)}})
            self.blocks.setToolTip("Which block's tokens and linears are drawn")

    def pick_block(self, block: int | None) -> None:
        """As if the user had."""
        if block != self.block and (block is None or block < self._num_blocks):
            self.blocks.show_value(block)
            self.changed.emit()
