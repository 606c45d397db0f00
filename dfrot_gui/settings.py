"""What the window remembers between starts; nothing here changes a result."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import cast

from PySide6.QtCore import QByteArray, QSettings, QStandardPaths

from dfrot_gui.theme import Mode
from dfrot_gui.translation import LANGUAGES, SYSTEM

MAX_RECENT = 8


class Settings:
    """Typed access to QSettings; pass a file path to keep tests apart from the user's settings."""

    def __init__(self, path: Path | None = None) -> None:
        self._store = QSettings("dfrot", "dfrot") if path is None else QSettings(str(path), QSettings.Format.IniFormat)

    @property
    def geometry(self) -> QByteArray:
        value = self._store.value("window/geometry")
        return value if isinstance(value, QByteArray) else QByteArray()

    @geometry.setter
    def geometry(self, value: QByteArray) -> None:
        self._store.setValue("window/geometry", value)

    @property
    def theme(self) -> Mode:
        value = self._text("window/theme")
        return cast(Mode, value) if value in {"system", "light", "dark"} else "system"

    @theme.setter
    def theme(self, value: Mode) -> None:
        self._store.setValue("window/theme", value)

    @property
    def language(self) -> str:
        """ "system", or one of translation.LANGUAGES."""
        value = self._text("window/language")
        return value if value in LANGUAGES else SYSTEM

    @language.setter
    def language(self, value: str) -> None:
        self._store.setValue("window/language", value)

    @property
    def last_model(self) -> str:
        """Hub id, path or "sample"; "" before the first choice."""
        return self._text("model/last")

    @last_model.setter
    def last_model(self, value: str) -> None:
        self._store.setValue("model/last", value)

    @property
    def is_new_here(self) -> bool:
        """Whether no model was used yet and the first hint was not closed."""
        return not self.last_model and self._text("window/hint") != "closed"

    def close_hint(self) -> None:
        self._store.setValue("window/hint", "closed")

    @property
    def last_revision(self) -> str:
        """Of `last_model`; "main" for most."""
        return self._text("model/revision") or "main"

    @last_revision.setter
    def last_revision(self, value: str) -> None:
        self._store.setValue("model/revision", value)

    @property
    def recent_models(self) -> tuple[str, ...]:
        """Folders and files that were opened, the latest first."""
        value = self._store.value("model/recent", [])
        paths = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        return tuple(path for path in paths if isinstance(path, str) and path)

    def add_recent_model(self, path: str) -> None:
        paths = list(dict.fromkeys((path, *self.recent_models)))
        self._store.setValue("model/recent", paths[:MAX_RECENT])

    @property
    def is_recipe_simple(self) -> bool:
        """Whether the Recipe page shows only the few things most people choose."""
        return self._text("recipe/view") == "simple"

    @is_recipe_simple.setter
    def is_recipe_simple(self, value: bool) -> None:
        self._store.setValue("recipe/view", "simple" if value else "advanced")

    @property
    def model_folder(self) -> str:
        """Where the dialog for opening a model starts."""
        return self._text("model/folder") or str(Path.home())

    @model_folder.setter
    def model_folder(self, value: str) -> None:
        self._store.setValue("model/folder", value)

    @property
    def output_root(self) -> Path:
        """The folder in which new output folders are proposed."""
        documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        value = self._text("output/root")
        return Path(value) if value else Path(documents or Path.home()) / "dfrot"

    @output_root.setter
    def output_root(self, value: Path) -> None:
        self._store.setValue("output/root", str(value))

    @property
    def open_run(self) -> Path | None:
        """Work folder of the run that was started last and has not been seen to finish."""
        value = self._text("run/open")
        return Path(value) if value else None

    @open_run.setter
    def open_run(self, value: Path | None) -> None:
        self._store.setValue("run/open", str(value) if value else "")

    def sync(self) -> None:
        """Write to the disk; names of models and folders are nobody else's business."""
        self._store.sync()
        with suppress(OSError):  # it could not be written
            Path(self._store.fileName()).chmod(0o600)

    def _text(self, key: str) -> str:
        value = self._store.value(key, "")
        return value if isinstance(value, str) else ""
