"""The tables of NumPy's less common functions, imported when one of them first meets a Variable."""

from . import assignment, construction, fft, linalg, polynomials, samples, statistics, ufunc_methods

__all__ = ["assignment", "construction", "fft", "linalg", "polynomials", "samples", "statistics", "ufunc_methods"]
