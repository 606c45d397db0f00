"""What pyproject.toml cannot say: a wheel carries `resources/` as package data of the engine."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["dfrot_engine*", "dfrot_gui*"]), "dfrot_engine._resources"],
    package_dir={"dfrot_engine._resources": "resources"},
    package_data={"dfrot_engine._resources": ["**/*"]},
    exclude_package_data={"dfrot_engine._resources": ["screenshots/*"]},
)
