"""Look for inputs that a reader cannot bear; needs atheris, which is not among the packages for development.

python -m tests.fuzz NAME --minutes 5                   # goes on from what it has found, in ~/.cache/dfrot/fuzz
python -m tests.fuzz NAME --keep                        # puts the fewest inputs that reach all of it into the corpus
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path

#: What is instrumented: our readers, and what of others' they are made of that is written in Python. Not tomllib, which
#: atheris 2.3 breaks.
LED_BY = ["dfrot_engine", "dfrot_gui.run_state", "json", "numpy.lib", "ast"]
MOST_MB = 2_000
IN_MEMORY = Path("/dev/shm")
MOST_KEPT, MOST_KEPT_BYTES = 60, 1_500


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--keep", action="store_true", help="add to the corpus instead of looking for more")
    parser.add_argument("--seed", type=int, default=0, help="0 takes another one each time")
    chosen = parser.parse_args()
    place = user_cache_path("dfrot") / "fuzz" / chosen.name
    place.mkdir(parents=True, exist_ok=True)
    if chosen.keep:
        keep(chosen.name, place)
    else:
        fuzz(chosen.name, place, chosen.minutes, chosen.seed)


def fuzz(name: str, place: Path, minutes: float, seed: int) -> None:
    """Until the time is up or something is found, whose input and trace are then in `place`; does not return."""
    import atheris  # pyright: ignore[reportMissingModuleSource]

    with atheris.instrument_imports(include=LED_BY):  # pyright: ignore[reportAttributeAccessIssue]
        from tests.fuzz.targets import CORPUS, MOST_BYTES, MOST_S, TARGETS

    target = TARGETS[name]
    folder = _room()
    words = place.with_suffix(".words")
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words), encoding="utf-8")

    def one(data: bytes) -> None:
        target.try_out(data, folder)

    limits = (f"-max_len={MOST_BYTES}", f"-rss_limit_mb={MOST_MB}", f"-timeout={MOST_S:.0f}")
    flags = [f"-max_total_time={minutes * 60:.0f}", f"-seed={seed}", f"-dict={words}", "-print_final_stats=1"]
    atheris.Setup(
        [
            sys.argv[0],
            str(place),
            str(CORPUS / name),
            *limits,
            *flags,
            f"-artifact_prefix={place.with_suffix('')}-found-",
        ],
        one,
    )
    atheris.Fuzz()


def _room() -> Path:
    """An empty folder, in memory where that can be had: on a disk an input takes ten times as long."""
    folder = Path(tempfile.mkdtemp(prefix="dfrot-fuzz-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None)) / "in"
    folder.mkdir()
    return folder


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"')


def keep(name: str, place: Path) -> None:
    """Of everything found so far, the small inputs that together reach every line that any of them reaches."""
    from tests.fuzz.targets import CORPUS, TARGETS

    target = TARGETS[name]
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    folder = _room()
    found = sorted((path for path in place.iterdir() if path.is_file()), key=lambda path: path.stat().st_size)
    reached = {path: _lines(lambda path=path: target.try_out(path.read_bytes(), folder)) for path in corpus.iterdir()}
    known = set().union(*reached.values())
    kept = len(reached)
    for path in found:
        data = path.read_bytes()
        if len(data) > MOST_KEPT_BYTES or kept >= MOST_KEPT:
            continue
        lines = _lines(lambda data=data: target.try_out(data, folder))
        if not lines <= known:
            known |= lines
            kept += 1
            (corpus / path.name[:12]).write_bytes(data)
    print(f"{name}: {kept} inputs reach {len(known)} lines")


def _lines(act: Callable[[], object]) -> set[tuple[str, int]]:
    """Lines of our code, and the ways between two of them, that are run."""
    reached: set[tuple[str, int]] = set()

    def local(frame, event: str, _argument: object):
        if event == "line":
            reached.add((frame.f_code.co_filename, frame.f_lineno))
        return local

    def trace(frame, _event: str, _argument: object):
        return local if f"{os.sep}dfrot_" in frame.f_code.co_filename else None

    sys.settrace(trace)
    try:
        act()
    except Exception:
        traceback.print_exc()
    finally:
        sys.settrace(None)
    return reached


if __name__ == "__main__":
    main()
