"""The version, in one place for the package and its packaging."""

__version__ = "0.3.0"
