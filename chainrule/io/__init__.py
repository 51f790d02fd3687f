"""Reading and writing what has been learnt."""

from .files import load, read_metadata, save

__all__ = ["load", "read_metadata", "save"]
