"""A session under X with the sample model, from the launch to History."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

PAGES = ("model", "recipe", "run-going", "results-numbers", "results-text", "run-token", "history")


@pytest.mark.display
@pytest.mark.sample
@pytest.mark.skipif("DFROT_TEST_CLICKS" not in os.environ, reason="takes minutes of idle cores: set DFROT_TEST_CLICKS")
def test_a_whole_session_with_the_mouse_under_x(tmp_path: Path) -> None:
    places = {f"XDG_{name}_HOME": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "STATE")}
    environment = os.environ | places | {"QT_QPA_PLATFORM": "xcb", "OMP_NUM_THREADS": str(os.cpu_count() or 1)}
    command = [sys.executable, "-m", "tests.gui.click_through", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert done.stdout.split()[0] == "xcb"
    for page in PAGES:
        dark, light = (QImage(str(next(tmp_path.glob(f"??-{page}-{mode}.png")))) for mode in ("dark", "light"))
        assert dark.width() >= 1_080
        assert dark.pixelColor(3, dark.height() // 2).lightness() < 60
        assert light.pixelColor(3, light.height() // 2).lightness() > 200
