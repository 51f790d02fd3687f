"""Derivative rules, one table for each family of NumPy's functions."""

# ruff: noqa: F401  (imported for the rules that they add to the table)

from . import (
    assignment,
    constants,
    construction,
    elementwise,
    fft,
    indexing,
    linalg,
    linear_algebra,
    polynomials,
    reductions,
    samples,
    selection,
    shapes,
    statistics,
)

from . import methods, ufunc_methods  # isort: skip  (what the operators and methods call must have been defined)
