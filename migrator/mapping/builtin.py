"""The guide's mapping, which is in force where nobody has put another one there."""

from importlib.resources import files

from migrator.mapping.parser import parse

DEFAULT = parse(files("migrator.mapping").joinpath("default.toml").read_text(encoding="utf-8"))
