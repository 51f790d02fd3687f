"""Derivative rules, one table for each family of NumPy's functions; those of everyday use here, the others in ``further``."""

from . import constants, elementwise, indexing, linear_algebra, methods, reductions, selection, shapes

__all__ = ["constants", "elementwise", "indexing", "linear_algebra", "methods", "reductions", "selection", "shapes"]
