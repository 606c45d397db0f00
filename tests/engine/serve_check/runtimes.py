"""A runtime that stands in for a real one: its environment is made by a faked installer, its Python is a script."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfrot_engine.serve_check.environments import Environment, environment
from dfrot_engine.whole_file import write_text


@dataclass
class FakeInstaller:
    """Notes commands and makes what `venv` would; fails where a command holds `fails_at`, with `words` in the log."""

    fails_at: str = ""
    words: str = ""
    error: Callable[[], BaseException] = lambda: subprocess.CalledProcessError(1, "pip")
    commands: list[list[str]] = field(default_factory=list)

    def __call__(self, command: Sequence[str], log: Path) -> None:
        self.commands.append(list(command))
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir()
            write_text(python, "#!/bin/sh\n")
            python.with_name("pip").touch()
        if self.fails_at and self.fails_at in command:
            log.write_text(self.words, encoding="utf-8")
            raise self.error()


def env_in(folder: Path, name: str = "transformers") -> Environment:
    return environment(name, folder)


def python_that(folder: Path, says: Sequence[dict[str, Any]], then: str = "") -> Path:
    """An interpreter that prints these lines as a runtime's script would, and ends as `then` says."""
    lines = "\n".join(json.dumps(line) for line in says)
    path = folder / "python"
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n{then}\n", encoding="utf-8")
    path.chmod(0o755)
    return path
