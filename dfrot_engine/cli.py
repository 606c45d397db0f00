"""The command line, one subcommand for each thing to do. The window starts its runs and trials through it."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from dfrot_engine import __version__
from dfrot_engine.cli_generate import add_generate, generate
from dfrot_engine.cli_push import add_push
from dfrot_engine.cli_rotations import add_rotations
from dfrot_engine.cli_runs import add_runs
from dfrot_engine.cli_serve_check import add_serve_check
from dfrot_engine.cli_show import add_show
from dfrot_engine.cli_verify import add_verify
from dfrot_engine.doctor.command import add_doctor
from dfrot_engine.errors import DFRotError, RecipeError
from dfrot_engine.memory import importing
from dfrot_engine.options import RunOptions
from dfrot_engine.ranks import other_ranks, place
from dfrot_engine.recipe import Recipe, preset_names
from dfrot_engine.sensitivity.types import Ask
from dfrot_engine.standard_output import discard_output, open_standard_streams
from dfrot_engine.units import parse_bytes

EXIT_OK, EXIT_FAILED, EXIT_BAD_RECIPE, EXIT_CANCELLED = 0, 1, 2, 130
_EXITS = {"finished": EXIT_OK, "failed": EXIT_FAILED, "cancelled": EXIT_CANCELLED}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit status: 0 finished, 1 failed, 2 bad recipe, 130 cancelled."""
    arguments = build_parser().parse_args(argv)
    arguments.line = list(sys.argv[1:] if argv is None else argv)
    # Before anything imports tqdm, which reads it once: libraries draw bars between our lines otherwise.
    os.environ.setdefault("TQDM_DISABLE", "1")
    open_standard_streams()
    try:
        status = arguments.command(arguments)
        sys.stdout.flush()  # here, where it can be told what became of it
        return status
    except (BrokenPipeError, SystemExit):  # `| head` has what it wanted; rich says so by ending the program
        discard_output()
        return EXIT_OK
    except RecipeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_BAD_RECIPE
    except DFRotError as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_FAILED


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dfrot", description="Quantize a language model with rotations refined for massive activations."
    )
    parser.add_argument("--version", action="version", version=f"dfrot {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    plan = commands.add_parser("plan", help="check a recipe and say what a run would take, without running it")
    _add_recipe_arguments(plan)
    _add_output_arguments(plan)
    plan.add_argument("--json", action="store_true", help="print the plan as JSON")
    plan.set_defaults(command=_plan)
    run = commands.add_parser("run", help="quantize a model; the same command again resumes a run that was stopped")
    _add_recipe_arguments(run)
    _add_output_arguments(run)
    _add_process_arguments(run)
    run.set_defaults(command=_run)
    trial = commands.add_parser("trial", help="try rotations for a recipe in a minute or two, and recommend one")
    _add_recipe_arguments(trial)
    _add_process_arguments(trial)
    trial.set_defaults(command=_trial)
    _add_sensitivity(commands)
    _add_evaluate(commands)
    generation = add_generate(commands)
    _add_process_arguments(generation)
    generation.set_defaults(command=_generate)
    add_serve_check(commands)
    add_rotations(commands)
    add_runs(commands)
    add_show(commands)
    add_verify(commands)
    add_push(commands)
    add_doctor(commands)
    return parser


def _add_sensitivity(commands: Any) -> None:
    usual = Ask()
    parser = commands.add_parser("sensitivity", help="measure what rounding each linear alone costs; propose 8 bits")
    _add_recipe_arguments(parser)
    _add_process_arguments(parser)
    parser.add_argument("--num-samples", type=int, default=usual.num_samples, help="sequences of the calibration text")
    parser.add_argument("--seq-len", type=int, default=usual.seq_len, help="tokens in each sequence")
    parser.add_argument("--bits", type=float, help="propose 8 bits for the worst, up to this average of the weights")
    parser.add_argument("--out", type=Path, help="write the recipe with the proposal to this TOML file")
    parser.add_argument("--check", action="store_true", help="measure the whole model with and without the proposal")
    parser.set_defaults(command=_sensitivity)


def _add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", type=Path, help="recipe file (TOML); a preset otherwise")
    parser.add_argument("--model", help="Hub id, folder, GGUF file, or 'sample'")
    parser.add_argument("--revision", help="branch, tag or commit on the Hub")
    parser.add_argument("--preset", choices=preset_names(), help="start from this recipe (default: w4a4)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="rotation.r1.kind=hadamard …")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 takes OMP_NUM_THREADS, else all cores")


def _add_process_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print events as JSON lines instead of text")
    parser.add_argument(
        "--stdin-commands",
        action="store_true",
        help='take {"command": "pause" | "resume" | "cancel" | "detach"} lines on standard input; its end cancels, but '
        "for after detach",
    )


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--work", type=Path, help="folder for what a run needs to resume (default: OUTPUT.dfrot)")
    parser.add_argument(
        "--memory",
        metavar="BYTES",
        default="auto",
        help="RAM for hidden states, like 4GB; the rest goes to the work folder (default: half of what is free)",
    )
    parser.add_argument(
        "--ranks", type=int, default=1, help="processes that share the run on this computer, each with a GPU of its own"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is in the output folder")
    parser.add_argument("--no-library", action="store_true", help="do not add learned rotations to the library")
    parser.add_argument("--keep-work", action="store_true", help="keep the intermediate files of a finished run")


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser("evaluate", help="measure any checkpoint folder that transformers loads")
    parser.add_argument("folder", type=Path, help="checkpoint folder")
    parser.add_argument("--original", help="compare with this model: Hub id, folder, GGUF file, or 'sample'")
    parser.add_argument("--dataset", default="builtin", help="text to measure on, as in a recipe")
    parser.add_argument("--seq-len", type=_window, default=1024, help="tokens in each window, or 'model'")
    parser.add_argument("--windows", type=int, default=0, help="windows measured; 0 measures the whole text")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 takes OMP_NUM_THREADS, else all cores")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.set_defaults(command=_evaluate)


def _window(text: str) -> int | str:
    return text if text == "model" else int(text)


def recipe_from(arguments: argparse.Namespace) -> Recipe:
    """The recipe file or preset, with the command line's changes on top.

    Raises:
        RecipeError: a field that does not exist or a value that does not fit.
    """
    if arguments.recipe is not None and arguments.preset is not None:
        raise RecipeError("A recipe file and a preset were given.", "Give one of the two.")
    recipe = Recipe.load(arguments.recipe) if arguments.recipe else Recipe.preset(arguments.preset or "w4a4")
    if arguments.model is not None:
        recipe = recipe.with_field("model.id_or_path", arguments.model)
    if arguments.revision is not None:
        recipe = recipe.with_field("model.revision", arguments.revision)
    for assignment in arguments.set:
        field, separator, text = assignment.partition("=")
        if not separator:
            raise RecipeError(f"--set {assignment} has no '='.", "Write it as --set rotation.r1.kind=hadamard.")
        recipe = recipe.with_field(field.strip(), _value(text.strip()))
    return recipe


def options_from(arguments: argparse.Namespace) -> RunOptions:
    return RunOptions(
        output_dir=arguments.output.expanduser().absolute(),
        work_dir=arguments.work.expanduser().absolute() if arguments.work else None,
        device=arguments.device,
        threads=arguments.threads,
        ranks=_ranks(arguments.ranks),
        memory=_memory(arguments.memory),
        overwrite=arguments.overwrite,
        keep_rotations=not arguments.no_library,
        keep_work=arguments.keep_work,
    )


def _ranks(asked: int) -> int:
    """On this computer: torchrun's number where it has started this process.

    Raises:
        RecipeError: none, or too many.
    """
    if not 1 <= asked <= 64:
        raise RecipeError(f"--ranks {asked} is no number from 1 to 64.", "Give one for each GPU.", "options.ranks")
    return place().local_world_size if place().world_size > 1 else asked


def _memory(text: str) -> int | Literal["auto"]:
    """Raises:
    RecipeError: no number of bytes.
    """
    try:
        return "auto" if text == "auto" else parse_bytes(text)
    except ValueError as error:
        raise RecipeError(f"--memory: {error}.", "Write it as --memory 4GB.", "options.memory") from None


def _value(text: str) -> Any:
    """Numbers, booleans and lists as JSON, everything else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _plan(arguments: argparse.Namespace) -> int:
    from dfrot_engine.plan import make_plan
    from dfrot_engine.terminal import print_plan

    plan = make_plan(recipe_from(arguments), options_from(arguments))
    if arguments.json:
        print(plan.model_dump_json(indent=1))
    else:
        print_plan(plan)
    return EXIT_BAD_RECIPE if plan.errors else EXIT_OK


def _run(arguments: argparse.Namespace) -> int:
    recipe, options = recipe_from(arguments), options_from(arguments)
    is_to_start = options.ranks > 1 and place().world_size == 1
    others = other_ranks(options.ranks, arguments.line) if is_to_start else contextlib.nullcontext(lambda: None)
    with others as check:
        with importing():
            from dfrot_engine.run_process import run_process
        ended = run_process(recipe, options, check, as_json=arguments.json, stdin_commands=arguments.stdin_commands)
    return _EXITS[ended.status]


def _refuse_ranks(command: str) -> None:
    """Raises:
    RecipeError: torchrun has started this process, which would do the same as the others.
    """
    if place().world_size > 1:
        raise RecipeError(f"`{command}` is no work for several processes.", "Start it without torchrun.")


def _trial(arguments: argparse.Namespace) -> int:
    from dfrot_engine.run_process import trial_process
    from dfrot_engine.trial.candidates import trial_options

    _refuse_ranks("trial")
    ended = trial_process(
        recipe_from(arguments),
        trial_options(arguments.device, arguments.threads),
        as_json=arguments.json,
        stdin_commands=arguments.stdin_commands,
    )
    return _EXITS[ended.status]


def _sensitivity(arguments: argparse.Namespace) -> int:
    from dfrot_engine.run_process import sensitivity_process
    from dfrot_engine.trial.candidates import trial_options

    _refuse_ranks("sensitivity")
    out = arguments.out.expanduser().absolute() if arguments.out else None
    ended = sensitivity_process(
        Ask(arguments.num_samples, arguments.seq_len, arguments.bits, out, arguments.check),
        recipe_from(arguments),
        trial_options(arguments.device, arguments.threads),
        as_json=arguments.json,
        stdin_commands=arguments.stdin_commands,
    )
    return _EXITS[ended.status]


def _generate(arguments: argparse.Namespace) -> int:
    _refuse_ranks("generate")
    return _EXITS[generate(arguments).status]


def _evaluate(arguments: argparse.Namespace) -> int:
    from dfrot_engine.evaluation.folder import evaluate_folder
    from dfrot_engine.run_process import use_threads
    from dfrot_engine.terminal import print_numbers

    use_threads(arguments.threads)
    numbers = evaluate_folder(
        arguments.folder,
        original=arguments.original,
        dataset=arguments.dataset,
        seq_len=arguments.seq_len,
        num_windows=arguments.windows,
        device=arguments.device,
    )
    if arguments.json:
        print(json.dumps(numbers, indent=1))
    else:
        print_numbers(numbers)
    return EXIT_OK
