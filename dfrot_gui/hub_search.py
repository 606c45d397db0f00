"""The list of models to choose from: sample, opened, downloaded and found on the Hub, filtered and in that order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from PySide6.QtCore import QObject, QTimer, Signal

from dfrot_engine import DFRotError
from dfrot_engine.architectures.families import FAMILIES
from dfrot_gui.background import Latest
from dfrot_gui.translation import tr

if TYPE_CHECKING:
    from dfrot_engine.checkpoint.hub import HubModel, Order

SEARCH_DELAY_MS = 250
REMEMBER_S = 300.0
CONNECTIONS = 8
BYTES_PER_PARAMETER = 2  # of the 16-bit checkpoints most of the Hub holds

#: "smallest" is sorted here, among what the Hub's most downloaded are.
Sort = Literal["downloads", "likes", "newest", "smallest"]


class SearchModels(Protocol):
    """`dfrot_engine.checkpoint.hub.search_models`."""

    def __call__(
        self,
        query: str,
        *,
        limit: int = 30,
        family: str | None = None,
        max_parameters: int | None = None,
        order: Order = "downloads",
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
    created: str = ""
    is_gated: bool = False
    is_downloaded: bool = False

    @property
    def owner(self) -> str:
        if self.kind == "sample":
            return tr("Comes with the app")
        return str(Path(self.source).parent) if self.kind == "file" else self.source.rpartition("/")[0]

    @property
    def name(self) -> str:
        if self.kind == "sample":
            return tr("Sample model")
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
    """What the user narrows the list to, and its order.

    Args:
        family: a key of `FAMILIES`.
        max_parameters: leave out larger models, and those of unknown size.
    """

    query: str = ""
    family: str | None = None
    max_parameters: int | None = None
    sort: Sort = "downloads"
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
        self._answers: dict[tuple[object, ...], tuple[float, tuple[ModelRow, ...]]] = {}
        self._timer = QTimer(self, singleShot=True, interval=SEARCH_DELAY_MS)
        self._timer.timeout.connect(self._search_unless_known)
        self._remote = Latest(self)
        self._remote.answered.connect(lambda answer: self._take_found(*answer))
        self._remote.failed.connect(self._take_error)
        self._remote.busy_changed.connect(self.busy_changed)
        self._cached = Latest(self, parallel=1)
        self._cached.answered.connect(self._take_local)

    @property
    def is_busy(self) -> bool:
        return self._timer.isActive() or self._remote.is_busy

    def start(self) -> None:
        """List what is downloaded and ask the Hub for its most used models."""
        self.list_local()
        self.search_now()

    def list_local(self) -> None:
        """Look again at what is downloaded, for example after a download."""
        self._cached.ask(self._local_models)

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

    def set_opened(self, paths: Sequence[str]) -> None:
        """List folders and files that were opened before, the latest first; those that are gone are left out."""
        self._opened = tuple(ModelRow(path, "file", is_downloaded=True) for path in paths if Path(path).exists())
        self.rows_changed.emit()

    def search_now(self) -> None:
        """Ask the Hub, whatever it has answered before."""
        filters, search = self.filters, self._search
        self._remote.ask(lambda: (filters, _ask_hub(search, filters)))

    def _search_unless_known(self) -> None:
        asked_s, rows = self._answers.get(_asked(self.filters), (float("-inf"), ()))
        if time.monotonic() - asked_s > REMEMBER_S:
            self.search_now()
            return
        self._found, self.error = rows, None
        self.rows_changed.emit()

    def fits(self, row: ModelRow) -> bool:
        """Whether the weights fit into this computer's memory; unknown sizes do."""
        return row.size <= self._memory_bytes

    def rows(self) -> tuple[ModelRow, ...]:
        """Sample, opened, downloaded, found; each model once."""
        key, found = _SORTS[self.filters.sort], {row.source: row for row in self._found}
        local = sorted((_with_counts(row, found.pop(row.source, None)) for row in self._local), key=key)
        mine = (row for row in (SAMPLE, *self._opened, *local) if self._matches(row))
        rows = [*mine, *sorted((row for row in found.values() if self._is_wanted(row)), key=key)]
        query = self.filters.query
        if _is_hub_id(query) and not self.is_busy and all(row.source.lower() != query.lower() for row in rows):
            rows.append(ModelRow(query, "hub"))
        return tuple(rows)

    def _matches(self, row: ModelRow) -> bool:
        """The Hub's own search knows more than the name; what is here is searched by name and architecture."""
        text = f"{row.owner}/{row.name} {row.architecture}".lower()
        family, most = self.filters.family, self.filters.max_parameters
        names = (family, *(one.replace("_", "") for one in FAMILIES[family])) if family else ()
        return (
            all(word in text for word in self.filters.query.lower().split())
            and (family is None or any(name in text for name in names))
            and (most is None or 0 < row.parameters <= most)
            and self._is_wanted(row)
        )

    def _is_wanted(self, row: ModelRow) -> bool:
        return (not self.filters.fitting_only or self.fits(row)) and (
            not self.filters.downloaded_only or row.is_downloaded
        )

    def _take_found(self, filters: Filters, models: Sequence[HubModel]) -> None:
        self._found = tuple(_row(model) for model in models)
        self._answers[_asked(filters)] = (time.monotonic(), self._found)
        self.error = None
        self.rows_changed.emit()

    def _take_error(self, error: DFRotError) -> None:
        self._found = ()
        self.error = error
        self.rows_changed.emit()

    def _take_local(self, models: Sequence[HubModel]) -> None:
        self._local = tuple(_row(model, is_local=True) for model in models)
        self.rows_changed.emit()


def _ask_hub(search: SearchModels, filters: Filters) -> list[HubModel]:
    """One request for every model_type of the family, side by side."""
    order: Order = "downloads" if filters.sort == "smallest" else filters.sort

    def ask(family: str | None) -> Sequence[HubModel]:
        return search(filters.query, family=family, max_parameters=filters.max_parameters, order=order)

    if filters.family is None:
        return list(ask(None))
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        found = [model for models in pool.map(ask, FAMILIES[filters.family]) for model in models]
    return list({model.id: model for model in found}.values())


def _asked(filters: Filters) -> tuple[object, ...]:
    """The part of the filters that the Hub is asked with."""
    return filters.query, filters.family, filters.max_parameters, filters.sort


def _newest_first(row: ModelRow) -> str:
    """A key that sorts ISO dates the other way round; unknown ones go last."""
    return "".join(chr(255 - ord(letter)) for letter in row.created) or "\uffff"


_SORTS: dict[Sort, Callable[[ModelRow], Any]] = {
    "downloads": lambda row: -row.downloads,
    "likes": lambda row: -row.likes,
    "newest": _newest_first,
    "smallest": lambda row: row.size or float("inf"),
}


def _is_hub_id(text: str) -> bool:
    owner, slash, name = text.partition("/")
    return bool(owner and slash and name) and "/" not in name and " " not in text


def _row(model: HubModel, *, is_local: bool = False) -> ModelRow:
    return ModelRow(
        source=model.id,
        kind="hub",
        architecture=model.architecture or "",
        downloads=model.downloads or 0,
        likes=model.likes or 0,
        parameters=model.num_parameters or 0,
        bytes=model.bytes or 0,
        created=model.created,
        is_gated=bool(model.gated),
        is_downloaded=is_local,
    )


def _with_counts(row: ModelRow, found: ModelRow | None) -> ModelRow:
    """What is downloaded, with what only the Hub knows of it."""
    if found is None:
        return row
    return replace(row, downloads=found.downloads, likes=found.likes, created=found.created, is_gated=found.is_gated)
