"""The links of the proof that need the files and the work folder: hashes, every tensor, and the fold itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from dfrot_engine.proof.types import ProofRow
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


def prove_files(job: Job, work: WorkDir, folders: Mapping[str, Path], say: Callable[[int], None]) -> Iterator[ProofRow]:
    """Hashes of every output, and the tensors of those that hold the recipe's codes.

    Args:
        folders: by the kind of export.
        say: called with the number of blocks so far; what it raises ends the work.
    """
    num_blocks = job.architecture.num_blocks
    for number, (kind, folder) in enumerate(folders.items()):
        yield prove_hashes(kind, folder)
        if kind in HOLD_CODES:

            def say_block(block: int, before: int = number * num_blocks) -> None:
                say(before + block)

            yield prove_tensors(job, work, kind, folder, say_block)


def prove_tensors(job: Job, work: WorkDir, kind: str, folder: Path, say: Callable[[int], None]) -> ProofRow:
    """Every tensor of an output that holds the recipe's codes, against the blocks in the work folder."""
    found = Comparison()
    with _unreadable(folder, found):
        _CODE_READERS[kind](job, work, folder, found, say)
    return found.row(kind, _HOW.get(kind, _EXACTLY))


def prove_hashes(kind: str, folder: Path) -> ProofRow:
    """Whether every file is still what it was when it was written."""
    sealed = read_marker(folder).get("files", {})
    sentences = missing_shards(folder)
    told = {sentence.split(" ", 1)[0] for sentence in sentences}
    sentences += [f"{name} {what}" for name, what in broken_files(folder).items() if name not in told]
    return ProofRow(
        check="files",
        output=kind,
        what=f"SHA-256 of {len(sealed)} files, as dfrot.json has it",
        figure=float(len(sentences)),
        limit=0.0,
        passed=not sentences and bool(sealed),
        note=listed(sentences) if sealed else "dfrot.json names no files",
    )


def prove_model(
    job: Job,
    work: WorkDir,
    folders: Mapping[str, Path],
    tokens_T: Tensor | None,
    say: Callable[[int], None],
) -> Iterator[ProofRow]:
    """The fold against the original, and with the same folded parts the tensors of outputs that hold no codes.

    Args:
        tokens_T: for the comparison with the original; None leaves it out.
    """
    folded = {kind: folder for kind, folder in folders.items() if kind not in HOLD_CODES}
    if tokens_T is None and not folded:
        return
    rotations = RotationSet.load(work.rotations).to(job.device)
    found = {kind: Comparison() for kind in folded}
    opened = {kind: _open(job, kind, folder, found[kind]) for kind, folder in folded.items()}
    watchers = [one.watch for one in opened.values() if one is not None]
    row = prove_folding(job, rotations, tokens_T, watchers, say)
    if row is not None:
        yield row
    for kind, one in opened.items():
        if isinstance(one, safetensors_files.FoldedFolder):
            one.finish(rotations)
        yield found[kind].row(kind, _HOW.get(kind, _EXACTLY))


def _open(
    job: Job, kind: str, folder: Path, found: Comparison
) -> gguf_files.GgufFile | safetensors_files.FoldedFolder | None:
    with _unreadable(folder, found):
        if kind in GGUF_KINDS:
            return gguf_files.GgufFile(job, folder, found)
        return safetensors_files.FoldedFolder(job, folder, found)
    return None


@contextmanager
def _unreadable(folder: Path, found: Comparison) -> Iterator[None]:
    """What keeps a folder from being read becomes something that is wrong with it."""
    try:
        yield
    except (ModelError, ValueError, OSError, KeyError) as error:
        message = error.message if isinstance(error, ModelError) else str(error)
        found.wrong += missing_shards(folder) or [message.removesuffix(".")]
