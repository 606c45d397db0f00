"""The whole check: an environment, the windows, the runtime's numbers, and what they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dfrot_engine.errors import DFRotError, RunError
from dfrot_engine.serve_check.checkpoint import Checkpoint, Text, read_checkpoint
from dfrot_engine.serve_check.environments import Environment, make_environment
from dfrot_engine.serve_check.measure import Measured, Refused, measure
from dfrot_engine.serve_check.types import LIMIT, OWN_SCALE_LIMIT, Reference, ServeCheck
from dfrot_engine.units import format_bytes
from dfrot_engine.verdicts.table import facts
from dfrot_engine.verdicts.types import Verdict

#: Perplexity of a folder on windows, loaded here; the flag says whether activations are rounded.
Reload = Callable[[Path, Sequence[Sequence[int]], bool], float]


@dataclass(frozen=True)
class Asked:
    """What is checked.

    Args:
        text: None for the windows of report.json.
        known: perplexities that the caller has measured on these windows; looked up or measured if empty.
        threads: of the CPU.
        trusts: whether code that lies in the folder may be run.
        in_float32: instead of the precision that the runtime takes by itself.
    """

    folder: Path
    env: Environment
    text: Text | None = None
    known: dict[Reference, float] | None = None
    threads: int = 1
    trusts: bool = False
    in_float32: bool = False


def check(
    asked: Asked, *, may_install: Callable[[Environment], bool], reload: Reload, say: Callable[[str, int, int], None]
) -> ServeCheck:
    """Load a folder by a runtime and measure it there.

    Args:
        may_install: asked before anything is downloaded.
        reload: used where a number to compare with is missing.
        say: (what is being done, finished windows, windows).
    Raises:
        DFRotError: no such folder, nothing to install with, or the runtime refuses the folder or crashes.
    """
    runtime = asked.env.runtime
    checkpoint = read_checkpoint(asked.folder)
    verdict = checkpoint.verdict(runtime)
    _refuse_other_files(checkpoint, asked.env, verdict)
    _refuse_float32(asked)
    text = asked.text or checkpoint.text or Text()
    windows = checkpoint.windows(text)
    ensure_environment(asked.env, may_install, lambda label: say(f"{runtime.name}: {label}", 0, len(windows)))
    say(f"{runtime.name} loads the folder", 0, len(windows))
    measured = _measured(asked, windows, verdict, lambda done: say(f"{runtime.name} measures", done, len(windows)))
    wanted = wanted_reference(verdict, checkpoint)
    known = dict(asked.known if asked.known is not None else checkpoint.known if text == checkpoint.text else {})
    notes = []
    if not any(one in known for one in wanted):
        say("Loading the folder with transformers, to compare with", len(windows), len(windows))
        known[wanted[-1]] = reload(asked.folder, windows, wanted[-1] != "weights")
        notes.append("What it is compared with was measured now, by the transformers of this program.")
    elif "engine" in wanted and "engine" not in known:
        notes.append("report.json has no number of the engine's own forward, so the reloaded one stands for it.")
    return ServeCheck(
        runtime=runtime.name,
        versions=_versions(asked.env, measured),
        folder=str(asked.folder),
        export=checkpoint.kind,
        dataset=text.dataset,
        seq_len=len(windows[0]),
        num_windows=len(windows),
        tokens=measured.tokens,
        perplexity=measured.perplexity,
        references=known,
        compared_with=next(one for one in wanted if one in known),
        limit=OWN_SCALE_LIMIT if verdict and verdict.has_own_scale and not asked.in_float32 else LIMIT,
        in_float32=asked.in_float32,
        expected=verdict.words if verdict else "",
        reason=verdict.full_reason if verdict else "There is no report.json that tells the recipe.",
        notes=tuple(notes),
        load_s=measured.load_s or 0.0,
        measure_s=measured.measure_s,
    )


def ensure_environment(
    env: Environment, may_install: Callable[[Environment], bool], say: Callable[[str], None]
) -> None:
    """Make the runtime's environment unless it is there.

    Raises:
        DFRotError: it may not be made, or cannot.
    """
    if env.state == "ready":
        return
    if not may_install(env):
        size = format_bytes(env.check.num_bytes)
        message = f"{env.runtime.name} is not installed; its environment takes about {size} in {env.folder}."
        raise RunError(message, "Allow it with --yes.")
    make_environment(env, say)


def wanted_reference(verdict: Verdict | None, checkpoint: Checkpoint) -> tuple[Reference, ...]:
    """What a runtime's number should equal, best first; the last can be measured here.

    A GGUF file says nothing of activations, so that its weights alone are what transformers reloads of it.
    """
    is_gguf = checkpoint.kind.startswith("gguf")
    if verdict is None or verdict.outcome != "loads-differently":
        return ("engine", "reloaded")
    return ("weights", "reloaded") if is_gguf else ("weights",)


def _measured(
    asked: Asked, windows: Sequence[Sequence[int]], verdict: Verdict | None, say: Callable[[int], None]
) -> Measured:
    env = asked.env
    try:
        how = {"trusts": asked.trusts, "in_float32": asked.in_float32}
        return measure(env.check, env.python, asked.folder, windows, asked.threads, say, **how)
    except Refused as error:
        raise Refused(error.message, _table_words(verdict)) from None


def _table_words(verdict: Verdict | None) -> str:
    if verdict is None:
        return "The recipe is not known here, so the table of runtimes has nothing to say."
    if verdict.outcome == "refused":
        return f"The table of runtimes says so too: {verdict.full_reason}"
    return f"The table of runtimes says otherwise ({verdict.words}: {verdict.full_reason}) Please report it."


def _refuse_other_files(checkpoint: Checkpoint, env: Environment, verdict: Verdict | None) -> None:
    """Raises: DFRotError: the runtime reads another kind of files."""
    is_gguf, reads_folders = checkpoint.kind.startswith("gguf"), "folder" in env.runtime.commands
    if is_gguf == reads_folders:
        kinds = "safetensors" if reads_folders else "GGUF files"
        message = f"{env.runtime.name} is given {kinds} here, and {checkpoint.folder} holds {checkpoint.kind}."
        why = verdict.full_reason if verdict and verdict.outcome == "refused" else ""
        raise DFRotError(message, f"{why} Give it a folder of another export.".strip())


def _refuse_float32(asked: Asked) -> None:
    """Raises: DFRotError: the runtime takes no other precision than its own."""
    if asked.in_float32 and not asked.env.check.has_float32:
        able = [runtime.check.name for runtime in facts().runtimes if runtime.check and runtime.check.has_float32]
        message = f"{asked.env.runtime.name} cannot be asked to compute in float32."
        raise DFRotError(message, f"Leave --float32 out; it is for {' and '.join(able)}.")


def _versions(env: Environment, measured: Measured) -> dict[str, str]:
    """Of what the table asks for."""
    names = [package.partition("==")[0] for step in env.check.steps for package in step]
    return {name: measured.packages[name] for name in names if name in measured.packages}
