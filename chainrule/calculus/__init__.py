"""Derivative rules, one table for each family of NumPy's functions."""

from . import elementwise

__all__ = ["elementwise"]
