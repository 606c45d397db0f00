"""Where the commands `dfrot` and `python -m dfrot_engine` begin. Imports only the standard library by itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dfrot_engine.home import NO_HOME, has_home


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; where a package cannot be imported it says so in a sentence, and `doctor` still works."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["doctor"]:
        from dfrot_engine.doctor.command import main as doctor

        return doctor(arguments[1:])
    if not has_home():
        print(NO_HOME, file=sys.stderr)
        return 1
    try:
        from dfrot_engine.cli import main as command
    except Exception as error:  # a broken package may raise anything while it is imported
        print(f"Error: {what_failed(error)} Run `dfrot doctor` to see what to do.", file=sys.stderr)
        return 1
    return command(argv)


def what_failed(error: Exception) -> str:
    """A fault while importing, as a sentence."""
    reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
    return f"A package of the program cannot be loaded: {reason.rstrip('.')}."
