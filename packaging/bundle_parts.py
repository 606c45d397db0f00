"""What the folder that runs without Python holds and what it leaves out, and what differs between systems."""

from __future__ import annotations

import sys
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # PyInstaller and `python packaging/…` start elsewhere
    sys.path.insert(0, str(ROOT))

NAME = "dfrot-gui"
#: The same executable under this name is the command line.
COMMAND = "dfrot"
TITLE = "DFRot Studio"
METAINFO = ROOT / "packaging" / "linux" / f"{NAME}.metainfo.xml"
#: Every package's licence, in the folder and in what is made of it.
LICENCES = "licences.txt"

#: Imported by name at run time, where PyInstaller cannot see it.
WHOLE_PACKAGES = ("dfrot_engine", "dfrot_gui", "compressed_tensors")
#: Single modules of that kind: of the first the files are looked up, the names of the others pyqtgraph puts together.
HIDDEN_MODULES = ("qtawesome", "PySide6.QtOpenGL", "PySide6.QtOpenGLWidgets")
#: Python packages that nothing here calls, most of them large.
LEFT_OUT_MODULES = (
    "IPython",
    "lm_eval",
    "pip",
    "pyarrow._flight",
    "pyarrow._s3fs",
    "pyarrow._substrait",
    "pyarrow.flight",
    "pyarrow.substrait",
    "pyqtgraph.opengl",
    "PySide6.QtNetwork",
    "PySide6.QtTest",
    "pytest",
    "setuptools",
    "sympy.testing",
    "tensorboard",
    "tkinter",
    "torchaudio",
    "torchvision",
    "triton",
)
#: Files that come along with packages and are never read: by their place in the folder.
LEFT_OUT_FILES = (
    "matplotlib/mpl-data/sample_data/*",
    "pyarrow/include/*",
    "pyarrow/src/*",
    "pyarrow/tests/*",
    "pyarrow/*.pxd",
    "pyarrow/*.pxi",
    "pyarrow/*.pyx",
    "pyarrow/_flight*",
    "pyarrow/_s3fs*",
    "pyarrow/_substrait*",
    "*libarrow_flight*",
    "*libarrow_python_flight*",
    "*libarrow_s3*",
    # Two copies of libarrow_python.so.2600 under names that nothing asks for.
    "pyarrow/libarrow_python.so",
    "pyarrow/libarrow_python.so.*.*.*",
    # Without a screen of its own: consoles, keyboards on the screen, servers of Wayland.
    "PySide6/Qt/plugins/egldeviceintegrations/*",
    "PySide6/Qt/plugins/generic/*",
    "PySide6/Qt/plugins/imageformats/*qpdf*",
    "PySide6/Qt/plugins/networkinformation/*",
    "PySide6/Qt/plugins/platforminputcontexts/*qtvirtualkeyboard*",
    "PySide6/Qt/plugins/platforms/*eglfs*",
    "PySide6/Qt/plugins/platforms/*linuxfb*",
    "PySide6/Qt/plugins/platforms/*minimal*",
    "PySide6/Qt/plugins/platforms/*vkkhrdisplay*",
    "PySide6/Qt/plugins/platforms/*vnc*",
    "PySide6/Qt/plugins/tls/*",
    "PySide6/Qt/plugins/wayland-graphics-integration-server/*",
    # The theme of GTK, which needs more of it than is here, and what comes along with it; that of the portal stays.
    "PySide6/Qt/plugins/platformthemes/*qgtk3*",
    "libatk-*",
    "libcairo*",
    "libdatrie*",
    "libfribidi*",
    "libgdk_pixbuf*",
    "libpango*",
    "libthai*",
    "*libQt6EglF[Ss]*",
    "*libQt6Network*",
    "*libQt6Pdf*",
    "*libQt6Qml*",
    "*libQt6Quick*",
    "*libQt6VirtualKeyboard*",
    "*libQt6WaylandCompositor*",
    "*libQt6WaylandEglCompositor*",
    "torch/bin/*test*",
    "torch/bin/*Test*",
    "torch/bin/protoc*",
    "torch/bin/script_module*",
    "torch/bin/upgrader_models*",
    "torch/include/*",
    "torch/share/*",
    "torch/test/*",
    "*libaoti_custom_ops*",
    "*libbackend_with_compiler*",
    "*libjitbackend_test*",
    "*libtorchbind_test*",
    # Found on the build computer, since a package looks for it by name; a CPU build needs none, and it is not ours.
    "*libcudart*",
    "*.a",
)


class Platform(NamedTuple):
    """What a system wants of its executables.

    Attributes:
        icon: the file that carries the icon inside the executable; none where the desktop's entry names it.
        has_console: whether the window's executable may have a console; where not, the command line gets its own.
        is_application: whether the folder is wrapped as an application (`.app`).
        has_version_info: whether the executable carries its version.
    """

    icon: str | None
    has_console: bool
    is_application: bool = False
    has_version_info: bool = False


PLATFORMS = {
    "linux": Platform(icon=None, has_console=True),
    "win32": Platform(icon=f"{NAME}.ico", has_console=False, has_version_info=True),
    "darwin": Platform(icon=f"{NAME}.icns", has_console=False, is_application=True),
}


def is_left_out(destination: str) -> bool:
    """Whether a file of the folder, named by its place in it, is never read."""
    return any(fnmatch(PurePath(destination).as_posix(), pattern) for pattern in LEFT_OUT_FILES)


def component_id() -> str:
    """The program's name among all programs, as AppStream has it."""
    found = ElementTree.parse(METAINFO).findtext("id")
    assert found
    return found


def bundle_identifier() -> str:
    """The same for macOS, where an underscore is not allowed."""
    return component_id().replace("_", "-")


def version_numbers(version: str) -> tuple[int, int, int, int]:
    """Four numbers, as Windows wants them; what stands behind the release is dropped."""
    numbers = [int(part) for part in version.split(".")[:3] if part.isdigit()]
    return (*numbers, *[0] * (4 - len(numbers)))[:4]  # pyright: ignore[reportReturnType]
