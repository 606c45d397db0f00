"""A user in front of the screen: finds words on it, clicks them, types. Needs xdotool, ImageMagick and tesseract.

    DISPLAY=:9 python packaging/smoke_clicks.py MODEL_FOLDER PICTURES

Quantizes the model in MODEL_FOLDER with the window that is open on the display, closes it, and leaves a picture of
every page. Nothing is known of the window but the words that are written on it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

#: Letters of 10 points are small for tesseract.
SCALE = 3
STARTS_S, ANSWERS_S, RUNS_S = 180, 180, 900


class Word(NamedTuple):
    line: tuple[str, ...]
    x: int
    y: int
    text: str


def main(model: str, pictures: Path) -> int:
    pictures.mkdir(parents=True, exist_ok=True)
    click("Open folder", STARTS_S)
    time.sleep(2)  # the dialog takes the keys
    press("type", "--delay", "40", model)
    press("key", "Return")
    wait_for("Use this model", ANSWERS_S)
    take(pictures / "1-model.png")
    click("Use this model", ANSWERS_S)
    wait_for("Start run", ANSWERS_S)
    time.sleep(3)  # the plan is made anew
    take(pictures / "2-recipe.png")
    click("Start run", ANSWERS_S)
    wait_for("Pause", ANSWERS_S)
    take(pictures / "3-run.png")
    wait_for("Save report", RUNS_S)
    time.sleep(2)
    take(pictures / "4-results.png")
    click("Use and share", ANSWERS_S)
    time.sleep(5)  # the commands are put together
    take(pictures / "5-use.png")
    press("key", "F1")
    click("About and this", ANSWERS_S)
    wait_for("Copy diagnostics", ANSWERS_S)
    time.sleep(10)  # it looks at this computer
    take(pictures / "6-about.png")
    for keys in ("Escape", "Escape", "alt+F4"):  # this, help, the window
        press("key", keys)
        time.sleep(2)
    return 0


def click(phrase: str, timeout_s: float) -> None:
    x, y = wait_for(phrase, timeout_s)
    press("mousemove", str(x), str(y), "sleep", "0.3", "click", "1", "sleep", "0.3", "mousemove", "5", "5")


def wait_for(phrase: str, timeout_s: float) -> tuple[int, int]:
    """The middle of the first place on the screen where the words stand side by side."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        for place in places(phrase):
            return place
        time.sleep(1)
    raise SystemExit(f"“{phrase}” was not on the screen within {timeout_s} s.")


def places(phrase: str) -> Iterator[tuple[int, int]]:
    wanted = phrase.lower().split()
    for inverted in (False, True):  # white on a colour is read better as black on white
        words = read_screen(inverted)
        for number in range(len(words) - len(wanted) + 1):
            found = words[number : number + len(wanted)]
            is_one_line = len({word.line for word in found}) == 1
            if is_one_line and all(one.text.lower().startswith(part) for one, part in zip(found, wanted, strict=True)):
                yield sum(word.x for word in found) // len(found), sum(word.y for word in found) // len(found)


def read_screen(inverted: bool) -> list[Word]:
    changes = [
        "-colorspace",
        "gray",
        *(["-threshold", "70%", "-negate"] if inverted else []),
        "-resize",
        f"{SCALE}00%",
        "png:-",
    ]
    picture = subprocess.run(["convert", "png:-", *changes], input=shot(), check=True, stdout=subprocess.PIPE).stdout
    command = ["tesseract", "-", "-", "--psm", "11", "tsv"]
    # Its threads would wait for each other where the run has the cores.
    environment = os.environ | {"OMP_THREAD_LIMIT": "1"}
    table = subprocess.run(
        command, input=picture, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ).stdout
    rows = [line.split("\t") for line in table.decode().splitlines()[1:]]
    return [_word(row) for row in rows if len(row) == 12 and row[11].strip()]


def _word(row: list[str]) -> Word:
    left, top, width, height = map(int, row[6:10])
    return Word(tuple(row[1:5]), (left + width // 2) // SCALE, (top + height // 2) // SCALE, row[11].strip())


def shot() -> bytes:
    return subprocess.run(["import", "-window", "root", "png:-"], check=True, stdout=subprocess.PIPE).stdout


def take(path: Path) -> None:
    path.write_bytes(shot())


def press(*what: str) -> None:
    subprocess.run(["xdotool", *what], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
