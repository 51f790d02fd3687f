"""Trees: arrays held in tuples, lists, dicts and dataclasses, nested as one likes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

#: A tree: an array or Variable, or a container of trees.
Tree = Any


def leaves(tree: Tree) -> list[Any]:
    """What a tree holds that is no container, in order; dicts by the order of their keys' insertion.

    >>> leaves({"a": 1, "b": (2, [3])})
    [1, 2, 3]
    """
    children = _children(tree)
    return [tree] if children is None else [leaf for child in children for leaf in leaves(child)]


def rebuild(tree: Tree, new: list[Any]) -> Tree:
    """A tree like ``tree`` that holds ``new`` in place of its leaves.

    >>> rebuild({"a": 1, "b": (2, [3])}, [10, 20, 30])
    {'a': 10, 'b': (20, [30])}
    """
    rest = iter(new)
    return _map(lambda leaf: next(rest), tree)


def tree_map(f: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """A tree like ``tree`` that holds ``f`` of its leaves (and of those at the same places of trees like it).

    Raises:
        ValueError: the trees hold different numbers of leaves.

    >>> tree_map(lambda x, y: x + y, (1, [2]), (10, [20]))
    (11, [22])
    """
    if not others:
        return _map(f, tree)
    return rebuild(tree, [f(*each) for each in zip(*map(leaves, (tree, *others)), strict=True)])


def _children(tree: Tree) -> list[Any] | None:
    if isinstance(tree, (tuple, list)):
        return list(tree)
    if isinstance(tree, dict):
        return list(tree.values())
    if hasattr(type(tree), "__dataclass_fields__"):
        return [getattr(tree, field.name) for field in fields(tree)]
    return None


def _map(f: Callable[[Any], Any], tree: Tree) -> Tree:
    if isinstance(tree, tuple):
        made = [_map(f, child) for child in tree]
        return type(tree)(*made) if hasattr(tree, "_fields") else tuple(made)
    if isinstance(tree, list):
        return [_map(f, child) for child in tree]
    if isinstance(tree, dict):
        return {key: _map(f, child) for key, child in tree.items()}
    if hasattr(type(tree), "__dataclass_fields__"):
        return replace(tree, **{field.name: _map(f, getattr(tree, field.name)) for field in fields(tree)})
    return f(tree)
