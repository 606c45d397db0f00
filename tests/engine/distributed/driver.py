"""What each of several processes does in the tests: run after run in one group, which is faster than a group each."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dfrot_engine.distributed import Ranks, joined
from dfrot_engine.follow import follow
from dfrot_engine.options import RunOptions
from dfrot_engine.progress import Control
from dfrot_engine.recipe import Recipe
from dfrot_engine.run import run
from dfrot_engine.run_process import use_threads


def main() -> None:
    use_threads(1)
    cases = json.loads(Path(sys.argv[1]).read_text())
    with joined("cpu") as ranks:
        for case in cases:
            _one(ranks, Recipe.parse(case["recipe"]), RunOptions.model_validate(case["options"]))


def _one(ranks: Ranks, recipe: Recipe, options: RunOptions) -> None:
    if ranks.is_first:
        ended = run(recipe, options, lambda _event: None, Control(), ranks)
        assert ended.status == "finished", ended
    else:
        assert follow(recipe, options, ranks)


if __name__ == "__main__":
    main()
