"""Derivative rules, one table for each family of NumPy's functions."""

from . import constants, elementwise, indexing, linear_algebra, reductions, selection, shapes

from . import methods  # isort: skip  (what the operators and methods call must have been defined)

__all__ = ["constants", "elementwise", "indexing", "linear_algebra", "methods", "reductions", "selection", "shapes"]
