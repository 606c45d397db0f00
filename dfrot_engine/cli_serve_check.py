"""`dfrot serve-check`: a folder loaded by a runtime in an environment of its own, and the environments themselves."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from dfrot_engine.errors import DFRotError
from dfrot_engine.events import Event, RunEnded, ServeChecked, StageAdvanced
from dfrot_engine.serve_check.checkpoint import Text, read_checkpoint
from dfrot_engine.serve_check.environments import (
    Environment,
    environment,
    environments,
    remove_environment,
    runtime_names,
)
from dfrot_engine.serve_check.run import Asked, check
from dfrot_engine.serve_check.text import print_check, print_environments, sentence_of
from dfrot_engine.stdin_stop import add_stdin_stop, interrupt_on_stdin
from dfrot_engine.units import format_bytes

_STAGE = "serve-check"
_PIPE_WIDTH = 160  # names stay on one line
_EXIT_CANCELLED = 130


def add_serve_check(commands: Any) -> None:
    """The subcommand."""
    names = runtime_names()
    parser = commands.add_parser(
        "serve-check", help="load a written folder with a runtime in an environment of its own, and measure it there"
    )
    parser.add_argument("folder", nargs="?", type=Path, help="output folder of a run")
    parser.add_argument("--runtime", choices=names, help="what loads it")
    parser.add_argument("--yes", action="store_true", help="make the runtime's environment without asking")
    parser.add_argument("--envs-folder", type=Path, help="where environments lie (default: the app's cache)")
    parser.add_argument("--list", action="store_true", help="list the environments")
    parser.add_argument("--remove", choices=names, help="delete a runtime's environment")
    parser.add_argument("--trust-remote-code", action="store_true", help="let transformers run the folder's own code")
    parser.add_argument("--float32", action="store_true", help="let the runtime compute in float32, as the engine does")
    parser.add_argument("--dataset", help="measure on this text (default: what report.json says)")
    parser.add_argument("--seq-len", type=int, help="tokens in each window")
    parser.add_argument("--windows", type=int, help="windows measured; 0 measures the whole text")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 takes all cores")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines instead of text")
    add_stdin_stop(parser)
    parser.set_defaults(command=_serve_check)


def _serve_check(arguments: argparse.Namespace) -> int:
    if arguments.list:
        return _list(arguments)
    if arguments.remove:
        freed = remove_environment(environment(arguments.remove, arguments.envs_folder))
        print(f"Removed {arguments.remove}: {format_bytes(freed)}.")
        return 0
    if arguments.folder is None or arguments.runtime is None:
        raise DFRotError("Nothing to check.", f"Give a folder and --runtime {'|'.join(runtime_names())}.")
    shown = _Shown(as_json=arguments.json)
    if arguments.stdin_commands:
        interrupt_on_stdin()
    try:
        return _check(arguments, shown)
    except KeyboardInterrupt:
        shown.emit(RunEnded(status="cancelled", message="Stopped on request."))
        return _EXIT_CANCELLED
    except DFRotError as error:
        if not arguments.json:
            raise
        shown.emit(RunEnded(status="failed", message=error.message, remedy=error.remedy, field=error.field))
        return 1


def _check(arguments: argparse.Namespace, shown: _Shown) -> int:
    folder = arguments.folder.expanduser()
    env = environment(arguments.runtime, arguments.envs_folder)
    asked = Asked(
        folder,
        env,
        _text(arguments, folder),
        threads=arguments.threads or _cores(),
        trusts=arguments.trust_remote_code,
        in_float32=arguments.float32,
    )
    found = check(
        asked,
        may_install=lambda one: arguments.yes or _asks(one, as_json=arguments.json),
        reload=lambda one, windows, has_activations: _reload(asked, one, windows, has_activations),
        say=shown.say,
    )
    shown.emit(ServeChecked(result=found))
    status = "finished" if found.is_within else "failed"
    shown.emit(RunEnded(status=status, message=sentence_of(found)))
    return 0 if found.is_within else 1


class _Shown:
    """Events as JSON lines, or the same as text."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._said = ""
        self._console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)

    def say(self, label: str, done: int, total: int) -> None:
        if self._as_json:
            self.emit(StageAdvanced(stage=_STAGE, step=done, steps=total, label=label))
        elif label != self._said:
            self._console.print(f"{label} …", markup=False, soft_wrap=True)
            self._said = label

    def emit(self, event: Event) -> None:
        if self._as_json:
            print(event.model_dump_json(), flush=True)
        elif isinstance(event, ServeChecked):
            print_check(event.result, self._console)
        elif isinstance(event, RunEnded) and event.status == "cancelled":
            self._console.print(event.message)


def _list(arguments: argparse.Namespace) -> int:
    found = environments(arguments.envs_folder)
    if arguments.json:
        print(json.dumps([_facts(env) for env in found], indent=1))
    else:
        print_environments(found, Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH))
    return 0


def _facts(env: Environment) -> dict[str, Any]:
    return {
        "runtime": env.check.name,
        "state": env.state,
        "bytes": env.num_bytes,
        "packages": env.check.steps,
        "folder": str(env.folder),
    }


def _text(arguments: argparse.Namespace, folder: Path) -> Text | None:
    """The text of report.json with what the command line says otherwise; None where it says nothing."""
    fields = {"dataset": arguments.dataset, "seq_len": arguments.seq_len, "num_windows": arguments.windows}
    given = {name: value for name, value in fields.items() if value is not None}
    if not given:
        return None
    return replace(read_checkpoint(folder).text or Text(), **given)


def _asks(env: Environment, *, as_json: bool) -> bool:
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    size = format_bytes(env.check.num_bytes)
    question = f"{env.runtime.name} is not installed. Make its environment, about {size} in {env.folder}? [y/N] "
    return input(question).strip().lower() in {"y", "yes"}


def _cores() -> int:
    import psutil

    return psutil.cpu_count(logical=False) or 1


def _reload(asked: Asked, folder: Path, windows: Any, has_activations: bool) -> float:
    from dfrot_engine.serve_check.reference import reloaded_perplexity

    return reloaded_perplexity(folder, windows, asked.threads, has_activations=has_activations)
