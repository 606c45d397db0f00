"""The list of models to choose from: sample, opened, downloaded and found on the Hub, filtered and in that order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from PySide6.QtCore import QObject, QTimer, Signal

from dfrot_engine import DFRotError
from dfrot_gui.background import Latest

if TYPE_CHECKING:
    from dfrot_engine.checkpoint.hub import HubModel

SEARCH_DELAY_MS = 250
SMALL_PARAMETERS = 2_000_000_000
BYTES_PER_PARAMETER = 2  # of the 16-bit checkpoints most of the Hub holds

Family = Literal["llama", "qwen", "mistral"]
MODEL_TYPES: dict[Family, tuple[str, ...]] = {
    "llama": ("llama",),
    "qwen": ("qwen2", "qwen3"),
    "mistral": ("mistral",),
}


class SearchModels(Protocol):
    """`dfrot_engine.checkpoint.hub.search_models`."""

    def __call__(
        self, query: str, *, limit: int = 30, family: str | None = None, max_parameters: int | None = None
    ) -> Sequence[HubModel]: ...


@dataclass(frozen=True)
class ModelRow:
    """One line of the list; numbers are 0 where nobody knows them."""

    source: str
    kind: Literal["sample", "file", "hub"]
    architecture: str = ""
    downloads: int = 0
    likes: int = 0
    parameters: int = 0
    bytes: int = 0
    is_gated: bool = False
    is_downloaded: bool = False

    @property
    def owner(self) -> str:
        if self.kind == "sample":
            return "Comes with the app"
        return str(Path(self.source).parent) if self.kind == "file" else self.source.rpartition("/")[0]

    @property
    def name(self) -> str:
        if self.kind == "sample":
            return "Sample model"
        return Path(self.source).name if self.kind == "file" else self.source.rpartition("/")[2]

    @property
    def size(self) -> int:
        """Bytes of the weights, or the best guess; 0 when even that is impossible."""
        return self.bytes or self.parameters * BYTES_PER_PARAMETER


SAMPLE = ModelRow(
    "sample",
    "sample",
    "LlamaForCausalLM",
    parameters=134_515_008,
    bytes=538_060_032,  # float32, once it is unpacked
    is_downloaded=True,
)


@dataclass(frozen=True)
class Filters:
    """What the user narrows the list to."""

    query: str = ""
    family: Family | None = None
    small_only: bool = False
    fitting_only: bool = False
    downloaded_only: bool = False


class HubSearch(QObject):
    """Rows for the model page; downloaded models are there at once, the Hub's answer follows.

    Args:
        search: asks the Hub; called in a thread.
        local: lists downloaded models; called in a thread.
        memory_bytes: what "fits this computer" means for the weights.
    """

    rows_changed = Signal()
    busy_changed = Signal(bool)

    def __init__(
        self,
        search: SearchModels,
        local: Callable[[], Sequence[HubModel]],
        memory_bytes: int,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._search = search
        self._local_models = local
        self._memory_bytes = memory_bytes
        self.filters = Filters()
        self.error: DFRotError | None = None
        self._opened: tuple[ModelRow, ...] = ()
        self._local: tuple[ModelRow, ...] = ()
        self._found: tuple[ModelRow, ...] = ()
        self._timer = QTimer(self, singleShot=True, interval=SEARCH_DELAY_MS)
        self._timer.timeout.connect(self.search_now)
        self._remote = Latest(self)
        self._remote.answered.connect(self._take_found)
        self._remote.failed.connect(self._take_error)
        self._remote.busy_changed.connect(self.busy_changed)
        self._cached = Latest(self, parallel=1)
        self._cached.answered.connect(self._take_local)

    @property
    def is_busy(self) -> bool:
        return self._timer.isActive() or self._remote.is_busy

    def start(self) -> None:
        """List what is downloaded and ask the Hub for its most used models."""
        self._cached.ask(self._local_models)
        self.search_now()

    def set_filters(self, filters: Filters) -> None:
        """Filter what is there at once, and ask the Hub again if that changes its answer."""
        before, self.filters = self.filters, filters
        if _asked(before) != _asked(filters):
            self._remote.drop()
            self._timer.start()
        self.rows_changed.emit()

    def open(self, path: str) -> ModelRow:
        """Add a folder or a GGUF file to the list."""
        row = ModelRow(path, "file", is_downloaded=True)
        self._opened = (row, *(one for one in self._opened if one.source != path))
        self.rows_changed.emit()
        return row

    def search_now(self) -> None:
        filters, search = self.filters, self._search
        self._remote.ask(lambda: _ask_hub(search, filters))

    def fits(self, row: ModelRow) -> bool:
        """Whether the weights fit into this computer's memory; unknown sizes do."""
        return row.size <= self._memory_bytes

    def rows(self) -> tuple[ModelRow, ...]:
        """Sample, opened, downloaded, found; each model once."""
        known = {row.source for row in self._local}
        found = () if self.filters.downloaded_only else (row for row in self._found if row.source not in known)
        mine = (row for row in (SAMPLE, *self._opened, *self._local) if self._matches(row))
        rows = [*mine, *(row for row in found if self._is_wanted(row))]
        query = self.filters.query
        if _is_hub_id(query) and not self.is_busy and all(row.source.lower() != query.lower() for row in rows):
            rows.append(ModelRow(query, "hub"))
        return tuple(rows)

    def _matches(self, row: ModelRow) -> bool:
        """The Hub's own search knows more than the name; what is here is searched by name and architecture."""
        text = f"{row.owner}/{row.name} {row.architecture}".lower()
        family = self.filters.family
        return (
            all(word in text for word in self.filters.query.lower().split())
            and (family is None or family in text)
            and (not self.filters.small_only or 0 < row.parameters < SMALL_PARAMETERS)
            and self._is_wanted(row)
        )

    def _is_wanted(self, row: ModelRow) -> bool:
        return (not self.filters.fitting_only or self.fits(row)) and (
            not self.filters.downloaded_only or row.is_downloaded
        )

    def _take_found(self, models: Sequence[HubModel]) -> None:
        self._found = tuple(_row(model) for model in models)
        self.error = None
        self.rows_changed.emit()

    def _take_error(self, error: DFRotError) -> None:
        self._found = ()
        self.error = error
        self.rows_changed.emit()

    def _take_local(self, models: Sequence[HubModel]) -> None:
        self._local = tuple(_row(model) for model in models)
        self.rows_changed.emit()


def _ask_hub(search: SearchModels, filters: Filters) -> list[HubModel]:
    """One request for every model_type of the family; most downloaded first."""
    largest = SMALL_PARAMETERS if filters.small_only else None
    types = MODEL_TYPES[filters.family] if filters.family else (None,)
    found = [model for one in types for model in search(filters.query, family=one, max_parameters=largest)]
    return sorted(found, key=lambda model: -model.downloads)


def _asked(filters: Filters) -> tuple[object, ...]:
    """The part of the filters that the Hub is asked with."""
    return filters.query, filters.family, filters.small_only


def _is_hub_id(text: str) -> bool:
    owner, slash, name = text.partition("/")
    return bool(owner and slash and name) and "/" not in name and " " not in text


def _row(model: HubModel) -> ModelRow:
    return ModelRow(
        source=model.id,
        kind="hub",
        architecture=model.architecture or "",
        downloads=model.downloads or 0,
        likes=model.likes or 0,
        parameters=model.num_parameters or 0,
        bytes=model.bytes or 0,
        is_gated=bool(model.gated),
        is_downloaded=bool(model.downloaded),
    )
