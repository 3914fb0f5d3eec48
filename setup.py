"""What pyproject.toml cannot say: assets/ (demo networks, fitted demo runs) becomes factortopy/assets in the wheel."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["factortopy*"]), "factortopy.assets"],
    package_dir={"factortopy.assets": "assets"},
)
