"""Kill runs of a tiny model as often as is asked for, each at a place of its own, and count what ends otherwise.

python -m tests.benchmarks.survive --kills 500        # a second or two each; --case gptq; --seed 1
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.engine.survive.killing import CASES, Killed, arguments, leftovers, points, run_straight
from tests.tiny_models import save_tiny_model
from tests.warm import warm_process


def main() -> int:
    """1 if any run did not end bit for bit as an undisturbed one."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.survive", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="for each case; at most one for each file operation")
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dfrot-survive-"))
    try:
        return max(_kill(case, chosen.kills, chosen.seed, folder) for case in chosen.case or CASES)
    finally:
        shutil.rmtree(folder)


def _kill(case: str, kills: int, seed: int, folder: Path) -> int:
    model = save_tiny_model("llama-tied", folder / f"{case}-model", intermediate_size=128)
    stages: Counter[str] = Counter()
    bad = 0
    with warm_process(arguments(case, model, folder / f"{case}-warm" / "out")) as warm:
        straight = run_straight(warm, case, model, folder / f"{case}-straight")
        for place in points(straight, kills, seed):
            killed = Killed(warm, case, model, folder / f"{case}-{place}")
            killed.start(kill_at=place)
            killed.start()
            stages.update(killed.stages)
            wrong = [*killed.differences(straight), *map(str, leftovers(killed.folder))]
            if wrong:
                bad += 1
                print(f"{case}, killed at operation {place} in {killed.stages}: {', '.join(wrong)}", flush=True)
            shutil.rmtree(killed.folder)
    counts = ", ".join(f"{stage} {count}" for stage, count in sorted(stages.items()))
    print(f"{case}: {stages.total()} kills ({counts}); {bad} ended otherwise than an undisturbed run", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
