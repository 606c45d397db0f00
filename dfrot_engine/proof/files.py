"""The links of the proof that need the files and the work folder: hashes, every tensor, and the fold itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from dfrot_engine.errors import ModelError
from dfrot_engine.exporters.gguf_table import GGUF_KINDS
from dfrot_engine.job import Job
from dfrot_engine.marker import broken_files, read_marker
from dfrot_engine.plan_outputs import HOLD_CODES
from dfrot_engine.proof import gguf_files, safetensors_files
from dfrot_engine.proof.comparison import Comparison, listed, missing_shards
from dfrot_engine.proof.folding import prove_folding
from dfrot_engine.proof.types import ProofRow, Written
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir

_EXACTLY = "bit for bit"
#: How closely the tensors of an export have to agree.
_HOW = {
    "compressed-tensors": "bit for bit, 4-bit floats as closely as bfloat16 holds them",
    "gguf": "bit for bit, minima of Q4_1 within a 128th of a step",
    "gguf-q8_0": "within 0.6 of a step, norms bit for bit",
}
_CODE_READERS = {"compressed-tensors": safetensors_files.compare_codes, "gguf": gguf_files.compare_codes}


def prove_files(job: Job, work: WorkDir, outputs: Sequence[Written], say: Callable[[int], None]) -> Iterator[ProofRow]:
    """Hashes of every output, and the tensors of those that hold the recipe's codes.

    Args:
        say: called with the number of blocks so far; what it raises ends the work.
    """
    num_blocks = job.architecture.num_blocks
    for number, output in enumerate(outputs):
        yield prove_hashes(output.label, output.folder)
        if output.kind in HOLD_CODES:

            def say_block(block: int, before: int = number * num_blocks) -> None:
                say(before + block)

            yield prove_tensors(job, work, output, say_block)


def prove_tensors(job: Job, work: WorkDir, output: Written, say: Callable[[int], None]) -> ProofRow:
    """Every tensor of an output that holds the recipe's codes, against the blocks in the work folder."""
    found = Comparison()
    with _unreadable(output.folder, found):
        _CODE_READERS[output.kind](job, work, output.folder, found, say)
    return found.row(output.label, _HOW.get(output.kind, _EXACTLY))


def prove_hashes(label: str, folder: Path) -> ProofRow:
    """Whether every file is still what it was when it was written."""
    sealed = read_marker(folder).get("files", {})
    sentences = missing_shards(folder)
    told = {sentence.split(" ", 1)[0] for sentence in sentences}
    sentences += [f"{name} {what}" for name, what in broken_files(folder).items() if name not in told]
    return ProofRow(
        check="files",
        output=label,
        what=f"SHA-256 of {len(sealed)} files, as dfrot.json has it",
        figure=float(len(sentences)),
        limit=0.0,
        passed=not sentences and bool(sealed),
        note=listed(sentences) if sealed else "dfrot.json names no files",
    )


def prove_model(
    job: Job,
    work: WorkDir,
    outputs: Sequence[Written],
    tokens_T: Tensor | None,
    say: Callable[[int], None],
) -> Iterator[ProofRow]:
    """The fold against the original, and with the same folded parts the tensors of outputs that hold no codes.

    Args:
        tokens_T: for the comparison with the original; None leaves it out.
    """
    folded = {output: Comparison() for output in outputs if output.kind not in HOLD_CODES}
    if tokens_T is None and not folded:
        return
    rotations = RotationSet.load(work.rotations).to(job.device)
    opened = {output: _open(job, output, found) for output, found in folded.items()}
    watchers = [one.watch for one in opened.values() if one is not None]
    row = prove_folding(job, rotations, tokens_T, watchers, say)
    if row is not None:
        yield row
    for output, one in opened.items():
        if isinstance(one, safetensors_files.FoldedFolder):
            one.finish(rotations)
        yield folded[output].row(output.label, _HOW.get(output.kind, _EXACTLY))


def _open(job: Job, output: Written, found: Comparison) -> gguf_files.GgufFile | safetensors_files.FoldedFolder | None:
    with _unreadable(output.folder, found):
        if output.kind in GGUF_KINDS:
            return gguf_files.GgufFile(job, output.folder, found)
        return safetensors_files.FoldedFolder(job, output.folder, found)
    return None


@contextmanager
def _unreadable(folder: Path, found: Comparison) -> Iterator[None]:
    """What keeps a folder from being read becomes something that is wrong with it."""
    try:
        yield
    except (ModelError, ValueError, OSError, KeyError) as error:
        message = error.message if isinstance(error, ModelError) else str(error)
        found.wrong += missing_shards(folder) or [message.removesuffix(".")]
