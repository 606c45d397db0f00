"""A run's results as one document for people: HTML that stands alone, or PDF."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from PySide6.QtCore import QBuffer, QIODevice, QLocale, QMarginsF, QUrl
from PySide6.QtGui import QImage, QPageLayout, QPageSize, QPdfWriter, QTextDocument

from dfrot_engine import Verdict, __version__
from dfrot_engine.whole_file import write_text
from dfrot_gui.charts.base import Plot
from dfrot_gui.charts.export import picture
from dfrot_gui.quantities import when_text
from dfrot_gui.run_tables import Table, shown_value
from dfrot_gui.theme import Theme
from dfrot_gui.translation import tr

#: What a picture is as wide as, in a browser and on a page.
_WIDTH = 620
_PDF_DPI = 96
_STYLE = """
body { font-family: Inter, 'Noto Sans', 'DejaVu Sans', sans-serif; font-size: 14px; color: #14161f; margin: 32px; }
h1 { font-size: 24px; margin-bottom: 2px; }
h2 { font-size: 16px; margin-top: 26px; }
p.small, td.note { color: #5b6172; }
th { text-align: left; font-size: 12px; color: #5b6172; }
pre { font-family: monospace; font-size: 12px; background-color: #f1f2f6; white-space: pre-wrap; }
"""


@dataclass(frozen=True)
class Report:
    """What goes into the document.

    Args:
        line: what the run was, in a line.
        sentences: the verdict in words.
        kpis: title → (number, note).
        protocol: how the numbers were measured; empty where they were not.
        tables: title → rows.
        pictures: title → PNG.
        verdicts: which runtimes load the files.
        recipe: as TOML.
        files: output folders.
        warnings: sentences.
    """

    line: str
    sentences: Sequence[str]
    kpis: Mapping[str, tuple[str, str]]
    protocol: Mapping[str, Any]
    tables: Mapping[str, Table]
    pictures: Mapping[str, bytes]
    verdicts: Sequence[Verdict]
    recipe: str
    files: Sequence[str]
    warnings: Sequence[str]


def save_report(report: Report, path: Path) -> None:
    """Write the document; the suffix decides: .pdf, or HTML for everything else.

    Raises:
        DiskError, OSError: the file cannot be written.
    """
    if path.suffix.lower() == ".pdf":
        _save_pdf(report, path)
    else:
        data = {
            title: f"data:image/png;base64,{base64.b64encode(png).decode()}" for title, png in report.pictures.items()
        }
        write_text(path, report_html(report, data))


def report_html(report: Report, sources: Mapping[str, str]) -> str:
    """
    Args:
        sources: a picture's title → its address.
    """
    date = when_text(datetime.now().astimezone())
    parts = [
        f"<h1>{escape(tr('Quantization report'))}</h1><p class='small'>{escape(report.line)}</p>",
        f"<p class='small'>DFRot {__version__}, {date}</p>",
        *(f"<p>{escape(sentence)}</p>" for sentence in report.sentences if sentence),
        _table(("", "", ""), [(title, *value) for title, value in report.kpis.items()], tr("Numbers")),
        _protocol(report.protocol),
        *(_table(table.header, table.rows, title) for title, table in report.tables.items()),
        *(_picture(title, sources[title]) for title in report.pictures),
        _serving(report.verdicts),
        _list(tr("Files"), report.files),
        _list(tr("Warnings of the run"), report.warnings),
        f"<h2>{escape(tr('Recipe'))}</h2><pre>{escape(report.recipe)}</pre>" if report.recipe else "",
    ]
    head = f"<head><meta charset='utf-8'><title>{escape(report.line)}</title><style>{_STYLE}</style></head>"
    return f"<!DOCTYPE html>\n<html lang='{QLocale().bcp47Name()}'>{head}<body>{''.join(parts)}</body></html>\n"


def pictures_of(charts: Sequence[Plot]) -> dict[str, bytes]:
    """Title → PNG of each chart that shows something, in the light theme, since paper is white."""
    with _light():
        return {chart.title: _png(picture(chart).toImage()) for chart in charts if chart.table().rows}


def _table(header: Sequence[str], rows: Sequence[Sequence[str | int | float]], title: str) -> str:
    if not rows:
        return ""
    heads = "".join(f"<th>{escape(text)}</th>" for text in header)
    head = f"<tr>{heads}</tr>" if any(header) else ""
    lines = ("".join(f"<td>{_cell(value)}</td>" for value in one) for one in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<h2>{escape(title)}</h2><table cellpadding='5' cellspacing='0'>{head}{body}</table>"


def _cell(value: str | int | float) -> str:
    return escape(shown_value(value)).replace("\n", "<br>")


def _protocol(protocol: Mapping[str, Any]) -> str:
    if not protocol:
        return ""
    return (
        "<p class='small'>"
        + escape(
            tr(
                "Measured on {dataset}: {windows:,} windows of {seq_len:,} tokens, {tokens:,} predictions; {measured}.",
                dataset=protocol.get("dataset", "text"),
                windows=protocol.get("num_windows", 0),
                seq_len=protocol.get("seq_len", 0),
                tokens=protocol.get("tokens", 0),
                measured=protocol.get("measured", ""),
            )
        )
        + "</p>"
    )


def _picture(title: str, source: str) -> str:
    return f"<h2>{escape(title)}</h2><p><img src='{source}' width='{_WIDTH}' alt='{escape(title)}'></p>"


def _serving(verdicts: Sequence[Verdict]) -> str:
    rows = [(one.runtime, tr(one.generation), tr(one.words), one.bits, one.command) for one in verdicts]
    return _table((tr("Runtime"), tr("On"), tr("Verdict"), tr("Bits"), tr("Command")), rows, tr("Where it loads"))


def _list(title: str, sentences: Sequence[str]) -> str:
    lines = "".join(f"<li>{escape(one)}</li>" for one in sentences)
    return f"<h2>{escape(title)}</h2><ul>{lines}</ul>" if sentences else ""


def _save_pdf(report: Report, path: Path) -> None:
    path.touch()  # QPdfWriter keeps a failure to itself
    document = QTextDocument()
    names = {title: f"picture-{number}" for number, title in enumerate(report.pictures)}
    for title, png in report.pictures.items():
        document.addResource(QTextDocument.ResourceType.ImageResource.value, QUrl(names[title]), QImage.fromData(png))
    writer = QPdfWriter(str(path))
    writer.setResolution(_PDF_DPI)
    writer.setTitle(report.line)
    writer.setCreator(f"DFRot {__version__}")
    margins = QMarginsF(14, 14, 14, 14)
    writer.setPageLayout(
        QPageLayout(
            QPageSize(QPageSize.PageSizeId.A4), QPageLayout.Orientation.Portrait, margins, QPageLayout.Unit.Millimeter
        )
    )
    document.setHtml(report_html(report, names))
    document.setPageSize(writer.pageLayout().paintRectPixels(_PDF_DPI).size().toSizeF())
    document.print_(writer)


def _png(image: QImage) -> bytes:
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    return bytes(buffer.data().data())


@contextmanager
def _light() -> Iterator[None]:
    """The light theme for a moment; nothing is painted on the screen meanwhile."""
    theme = Theme.get()
    mode = theme.mode
    if theme.t.name == "light":
        yield
        return
    theme.set_mode("light")
    try:
        yield
    finally:
        theme.set_mode(mode)
