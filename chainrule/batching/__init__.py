"""How functions compute on all examples of a batch at once. Read it in this order: calls, protocols, and then the tables."""

from . import arrays, indexing, products, protocols  # noqa: F401 (fill the table)
