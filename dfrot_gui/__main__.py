"""`python -m dfrot_gui`: the window. A frozen executable is the engine too: with `--engine`, or called `dfrot`."""

from __future__ import annotations

import sys
from multiprocessing import freeze_support
from pathlib import Path

ENGINE = "dfrot"


def main() -> int:
    freeze_support()  # a helper process that Python starts in a frozen program is not to open a window
    arguments = sys.argv[1:]
    if Path(sys.argv[0]).stem == ENGINE:
        arguments = ["--engine", *arguments]
    if arguments[:1] == ["--engine"]:
        from dfrot_engine.start import main as engine

        return engine(arguments[1:])
    if "--version" in arguments:
        from dfrot_engine import __version__

        print(f"DFRot Studio {__version__}")
        return 0
    from dfrot_engine.home import NO_HOME, has_home

    if not has_home():
        print(NO_HOME, file=sys.stderr)
        return 1
    from dfrot_gui.app import main as window

    return window(arguments)


if __name__ == "__main__":
    sys.exit(main())
