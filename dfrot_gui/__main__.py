"""`python -m dfrot_gui`: the window; `--engine …` is the engine's command line, for a single frozen executable."""

from __future__ import annotations

import sys


def main() -> int:
    arguments = sys.argv[1:]
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
