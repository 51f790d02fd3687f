"""Tables of pandas, polars and pyarrow as arrays to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.arrays import Array
from .dataset import TensorDataset


class TableDataset(TensorDataset):
    """The columns of a table: an example is (numbers, categories) or, with a target, (numbers, categories, target).

    Numbers are float32 of shape (F,). Categories are int64 of shape (K,), each the position in ``categories`` of its column;
    without columns of text, categories and booleans they are left out, and so are the numbers without numeric columns.
    A target of text or categories becomes its position in ``categories``, too; where integers stand for classes, make a column
    of categories or text of them.

    Args:
        table: a pandas or polars DataFrame, a pyarrow Table, or a mapping of names and columns.
        target: the column to predict, if there is one.
        columns: those to learn from; by default all but the target.
        like: a TableDataset whose columns, categories and fill values are taken over, such as that of the training data.
        fill: what a missing number becomes: a number, or ``"mean"`` for its column's. By default it is an error.

    Raises:
        KeyError: there is no such column.
        ValueError: a number is missing, or a category is not among those of ``like``.
        TypeError: ``table`` is no table, or a column holds neither numbers nor text.

    >>> rows = {"height": [1.5, 1.8], "pet": ["cat", "dog"], "age": [30, 40]}
    >>> data = TableDataset(rows, target="age")
    >>> data[1]
    (array([1.8], dtype=float32), array([1]), np.float32(40.0))
    >>> data.categories
    {'pet': ['cat', 'dog']}
    """

    def __init__(
        self,
        table: Any,
        target: str | None = None,
        columns: Sequence[str] | None = None,
        like: TableDataset | None = None,
        fill: float | str | None = None,
    ):
        self.target = target
        self.numeric: list[str]
        self.categorical: list[str]
        self.categories: dict[str, list[Any]]
        self.fills: dict[str, float]
        if like is not None:
            self.numeric, self.categorical = like.numeric, like.categorical
            self.categories, self.fills = like.categories, like.fills
        else:
            chosen = [name for name in _names(table) if name != target] if columns is None else list(columns)
            kinds = {name: _column(table, name).dtype.kind for name in chosen}
            self.numeric = [name for name in chosen if kinds[name] in "iuf"]
            self.categorical = [name for name in chosen if kinds[name] not in "iuf"]
            self.categories = {name: _categories(table, name) for name in self.categorical}
            if target is not None and _column(table, target).dtype.kind not in "iuf":
                self.categories[target] = _categories(table, target)
            self.fills = {}
            for name in self.numeric:
                if fill is not None:
                    self.fills[name] = float(np.nanmean(_column(table, name))) if fill == "mean" else float(fill)
        arrays = []
        if self.numeric:
            arrays.append(np.stack([self._numbers(table, name) for name in self.numeric], axis=1))
        if self.categorical:
            arrays.append(np.stack([self._codes(table, name) for name in self.categorical], axis=1))
        if target is not None:
            arrays.append(self._codes(table, target) if target in self.categories else self._numbers(table, target))
        super().__init__(*arrays)

    def _numbers(self, table: Any, name: str) -> Array:
        values = _column(table, name).astype(np.float32)
        missing = np.isnan(values)
        if missing.any():
            if name not in self.fills:
                raise ValueError(
                    f"column {name!r} lacks {missing.sum()} of {len(values)} numbers, the first in row {missing.argmax()}; "
                    "drop these rows, or pass fill='mean'"
                )
            values[missing] = self.fills[name]
        return values

    def _codes(self, table: Any, name: str) -> Array:
        positions = {value: i for i, value in enumerate(self.categories[name])}
        values = [_hashable(value) for value in _column(table, name).tolist()]
        unknown = next((value for value in values if value not in positions), None)
        if any(value not in positions for value in values):
            raise ValueError(f"column {name!r}: {unknown!r} is not among its categories {self.categories[name]}")
        return np.array([positions[value] for value in values], np.int64)


def _names(table: Any) -> list[str]:
    if isinstance(table, Mapping):
        return list(table)
    names = getattr(table, "column_names", None)  # pyarrow; then pandas and polars
    names = getattr(table, "columns", None) if names is None else names
    if names is None:
        raise TypeError(f"TableDataset needs a DataFrame, a pyarrow Table or a mapping of columns, not {type(table).__name__}")
    return list(names)


def _column(table: Any, name: str) -> Array:
    names = _names(table)
    if name not in names:
        raise KeyError(f"the table has no column {name!r}; it has {', '.join(map(repr, names))}")
    values = table[name]
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if array.dtype.kind == "O" and {type(value) for value in array.tolist()} <= {int, float, type(None)}:
        array = array.astype(np.float64)  # numbers, some of them missing
    if array.dtype.kind in "cmMV":
        raise TypeError(f"column {name!r} holds {array.dtype}; make numbers or text of it first")
    return array


def _hashable(value: Any) -> Any:
    """A category; a missing one, which libraries write as None or NaN, is None."""
    return None if value is None or value != value else value


def _categories(table: Any, name: str) -> list[Any]:
    """A column's values, each once, in order; None, for what is missing, last."""
    found = {_hashable(value) for value in _column(table, name).tolist()}
    return sorted(found - {None}) + [None] * (None in found)
