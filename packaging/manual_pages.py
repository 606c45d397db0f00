"""Manual pages, made from what the commands say of themselves."""

from __future__ import annotations

import argparse

from bundle_parts import COMMAND, NAME, TITLE

from dfrot_engine import __version__
from dfrot_engine.cli import build_parser

_WINDOW = f"""\
.TH {NAME.upper()} 1 "" "{TITLE} {__version__}" "User Commands"
.SH NAME
{NAME} \\- make language models smaller, in a window
.SH SYNOPSIS
.B {NAME}
[\\fB\\-\\-version\\fR]
.SH DESCRIPTION
Opens the window of {TITLE}: choose a model, a preset and a rotation, start, and read the results.
.SH OPTIONS
.TP
.B \\-\\-version
Print the version and exit.
.TP
.B \\-\\-engine \\fIARGUMENTS\\fR
The command line; the same as
.BR {COMMAND} .
.SH FILES
.TP
.I ~/.config/dfrot
What the window remembers between starts.
.TP
.I ~/.local/share/dfrot
The list of runs, and learned rotations.
.TP
.I ~/.cache/dfrot
Work folders and converted models; may be deleted while nothing runs.
.SH SEE ALSO
.BR {COMMAND} (1)
"""


def manual_pages() -> dict[str, str]:
    """By command, in the language of man."""
    return {COMMAND: _command_page(build_parser()), NAME: _WINDOW}


def _command_page(parser: argparse.ArgumentParser) -> str:
    commands = _commands(parser)
    sections = [f".SS {COMMAND} {name}\n.nf\n{_plain(one.format_help())}.fi\n" for name, one in commands.items()]
    return (
        f'.TH {COMMAND.upper()} 1 "" "{TITLE} {__version__}" "User Commands"\n'
        f".SH NAME\n{COMMAND} \\- quantize language models with rotations\n"
        f".SH SYNOPSIS\n.B {COMMAND}\n\\fICOMMAND\\fR ...\n"
        f".SH DESCRIPTION\n.nf\n{_plain(parser.format_help())}.fi\n"
        f".SH COMMANDS\n{''.join(sections)}"
        f".SH SEE ALSO\n.BR {NAME} (1)\n"
    )


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    choices = [one.choices for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    assert len(choices) == 1
    return dict(choices[0])


def _plain(text: str) -> str:
    """Text that man shows as it is: a backslash, a hyphen and a dot at the start of a line mean something to it."""
    escaped = text.replace("\\", "\\\\").replace("-", "\\-")
    return "".join(rf"\&{line}" if line.startswith((".", "'")) else line for line in escaped.splitlines(keepends=True))
