"""What pyproject.toml cannot say: a wheel carries `resources/` as package data of the engine."""

from setuptools import find_namespace_packages, find_packages, setup

PACKAGE = "dfrot_engine._resources"
FOLDERS = [PACKAGE, *(f"{PACKAGE}.{name}" for name in find_namespace_packages("resources", exclude=["screenshots*"]))]

setup(
    packages=[*find_packages(include=["dfrot_engine*", "dfrot_gui*"]), *FOLDERS],
    package_dir={PACKAGE: "resources"},
    package_data={folder: ["*"] for folder in FOLDERS},
)
