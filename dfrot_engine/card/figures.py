"""The figures of a model card as PNG, drawn without a display."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from dfrot_engine.charts import TokenErrors
from dfrot_engine.marker import BLOCK_FIGURE, OUTPUT_FIGURE, TOKEN_FIGURE
from dfrot_engine.rotation_names import rotation_name
from dfrot_engine.whole_file import whole_file

_SIZE_INCHES, _DPI = (7.2, 3.4), 130
# Room for numbers of seven characters; a layout that measures them takes a third of the time of drawing.
_MARGINS = {"left": 0.12, "right": 0.975, "bottom": 0.15, "top": 0.97}
_USUAL_BYTES = 60_000


def draw_figures(folder: Path, errors: TokenErrors | None, block_errors: dict[int, float]) -> dict[str, str]:
    """Write the figures there are data for; returns file name in the folder → what it shows.

    Args:
        errors: of the tokens under each rotation.
        block_errors: relative error behind each quantized block, by its number.
    """
    shown: dict[str, str] = {}
    if errors is not None and errors.series:
        with _figure(folder / TOKEN_FIGURE, "tokens, the worst first", "‖x − Q(x)‖ / ‖x‖") as axes:
            for kind, one in errors.series.items():
                axes.plot(one.rank, one.error, label=rotation_name(kind), linewidth=1.4)
            axes.set_xscale("log")
            axes.legend(frameon=False)
        shown[TOKEN_FIGURE] = "Rounding error of each token's activations under each rotation, on the same tokens"
        with _figure(folder / BLOCK_FIGURE, "block", "mean ‖x − Q(x)‖ / ‖x‖") as axes:
            for kind, one in errors.series.items():
                axes.plot(range(1, len(one.block_mean) + 1), one.block_mean, label=rotation_name(kind), linewidth=1.4)
            axes.legend(frameon=False)
        shown[BLOCK_FIGURE] = "The same, mean of the tokens in each block"
    if block_errors:
        with _figure(folder / OUTPUT_FIGURE, "block", "‖ŷ − y‖ / ‖y‖") as axes:
            axes.plot(
                [block + 1 for block in block_errors],
                list(block_errors.values()),
                marker="o",
                markersize=3,
                linewidth=1.4,
            )
        shown[OUTPUT_FIGURE] = "Relative error of the hidden states behind each quantized block, since the embedding"
    return shown


@contextmanager
def _figure(path: Path, x: str, y: str) -> Iterator[Any]:
    figure = _empty_figure()
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    yield axes
    axes.set_ylim(bottom=0)
    with whole_file(path, _USUAL_BYTES) as draft:
        figure.savefig(draft, dpi=_DPI, format="png")


def _empty_figure() -> Any:
    # Read once, when matplotlib is first imported: its list of fonts would make a folder of its own among the user's.
    os.environ.setdefault("MPLCONFIGDIR", str(user_cache_path("dfrot") / "matplotlib"))
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES)
    figure.subplots_adjust(**_MARGINS)
    FigureCanvasAgg(figure)
    return figure
