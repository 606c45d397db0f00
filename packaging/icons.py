"""The icon in the sizes and files that desktops ask for, drawn from resources/icons/dfrot.svg.

python packaging/icons.py      # packaging/linux/icons again, after the drawing has changed
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from PySide6.QtCore import QBuffer, QByteArray, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

ROOT = Path(__file__).resolve().parents[1]
DRAWING = ROOT / "resources" / "icons" / "dfrot.svg"
LINUX = ROOT / "packaging" / "linux" / "icons"
LINUX_SIZES = (16, 22, 24, 32, 48, 64, 128, 256, 512)
#: By the file's ending: what Pillow calls it, and the sizes in it.
CONTAINERS = {".ico": ("ICO", (16, 24, 32, 48, 64, 128, 256)), ".icns": ("ICNS", (32, 64, 128, 256, 512, 1024))}


def draw(size: int) -> bytes:
    """The drawing as PNG, `size` pixels wide and high."""
    image = QImage(size, size, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    QSvgRenderer(str(DRAWING)).render(painter)
    painter.end()
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QBuffer.OpenModeFlag.WriteOnly)
    assert image.save(buffer, "PNG")  # pyright: ignore[reportArgumentType, reportCallIssue]
    return data.data()


def write_container(path: Path) -> None:
    """One file with all sizes, for Windows or macOS by the ending of its name."""
    kind, sizes = CONTAINERS[path.suffix]
    images = [Image.open(io.BytesIO(draw(size))) for size in reversed(sizes)]
    path.parent.mkdir(parents=True, exist_ok=True)
    images[0].save(path, format=kind, sizes=[(size, size) for size in sizes], append_images=images[1:])


def main() -> int:
    for size in LINUX_SIZES:
        path = LINUX / f"{size}x{size}" / "dfrot-gui.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(draw(size))
    return 0


if __name__ == "__main__":
    sys.exit(main())
