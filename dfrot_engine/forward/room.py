"""What a stage may take of memory: a budget for hidden states, how many tokens at once, and whether blocks overlap."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from dfrot_engine.checkpoint.headers import read_headers
from dfrot_engine.events import Warned
from dfrot_engine.forward.hidden_states import HiddenStore
from dfrot_engine.job import Job
from dfrot_engine.memory import BATCH_TOKENS, is_out_of_memory, split_budget

T = TypeVar("T")


class BatchSize:
    """How many tokens go through a block at once; halves itself when memory runs out.

    Args:
        warn: told when it does.
    """

    def __init__(self, warn: Callable[[Warned], None] = lambda _event: None, tokens: int = BATCH_TOKENS) -> None:
        self.tokens = tokens
        self._warn = warn

    def sequences(self, seq_len: int) -> int:
        """Whole sequences, at least one."""
        return max(1, self.tokens // seq_len)

    def in_batches(self, sequences: range, seq_len: int, work: Callable[[slice], T]) -> Iterator[T]:
        """What `work` gives for a few of these sequences at a time; where memory runs out, again with half as many.

        Args:
            work: must leave nothing behind when it fails.
        """
        start = sequences.start
        while start < sequences.stop:
            part = slice(start, min(start + self.sequences(seq_len), sequences.stop))
            try:
                result = work(part)
            except (RuntimeError, MemoryError) as error:
                if part.stop - start == 1 or not is_out_of_memory(error):
                    raise
            else:
                yield result
                start = part.stop
                continue
            # Outside the handler: until it ends, the failed call's frames hold what they had allocated.
            self._halve(part.stop - start, seq_len)

    def _halve(self, sequences: int, seq_len: int) -> None:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        before, self.tokens = sequences * seq_len, (sequences + 1) // 2 * seq_len
        self._warn(
            Warned(
                message=f"Memory ran out: from here on {self.tokens:,} tokens go through a block at once "
                f"instead of {before:,}.",
                remedy="The results stay the same but for the order of additions; closing other programs helps.",
            )
        )


@dataclass(frozen=True)
class Room:
    """What one stage may take besides the block it works on.

    Args:
        states: makes hidden states within the budget.
        batch: how many tokens go through a block at once.
        overlaps: whether the next block is read and the last one written while a block is worked on.
    """

    states: HiddenStore
    batch: BatchSize = field(default_factory=BatchSize)
    overlaps: bool = False

    @staticmethod
    def of(job: Job, folder: Path, warn: Callable[[Warned], None]) -> Room:
        """As the options and the size of a block allow.

        Args:
            folder: of hidden states that do not fit, and of those kept for a resumed run.
            warn: told when a batch was too large.
        """
        warn = warn if job.ranks.is_first else _on_standard_error
        prefix = job.architecture.block_prefix(0)
        block_bytes = sum(one.num_bytes for name, one in read_headers(job.model_dir).items() if name.startswith(prefix))
        overlaps, budget = split_budget(job.options.memory_budget, block_bytes)
        return Room(HiddenStore(folder, budget), BatchSize(warn), overlaps)

    @staticmethod
    def unlimited() -> Room:
        """For a few tokens: everything stays in RAM."""
        return Room(HiddenStore())


def _on_standard_error(event: Warned) -> None:
    """Of a rank whose events nobody hears."""
    print(f"{event.message} {event.remedy}", file=sys.stderr, flush=True)
