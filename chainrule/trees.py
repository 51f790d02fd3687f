"""Trees: arrays held in tuples, lists, dicts, dataclasses and modules, nested as one likes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from .core.arrays import ndarray
from .core.variable import Leaf, Variable

#: A tree: an array or Variable, or a container of trees. None, texts, truth values and functions in it are constants.
Tree = Any


def leaves(tree: Tree) -> list[Any]:
    """What a tree holds that is no container and no constant, in order; dicts by the order of their keys' insertion.

    >>> leaves({"a": 1, "b": (2, [3]), "c": None})
    [1, 2, 3]
    """
    if tree.__class__ is ndarray or isinstance(tree, Variable):  # seen at once
        return [tree]
    below = children(tree)
    if below is None:
        return [] if is_constant(tree) else [tree]
    return [leaf for child in below for leaf in leaves(child)]


def rebuild(tree: Tree, new: list[Any]) -> Tree:
    """A tree like ``tree`` that holds ``new`` in place of its leaves.

    >>> rebuild({"a": 1, "b": (2, [3]), "c": None}, [10, 20, 30])
    {'a': 10, 'b': (20, [30]), 'c': None}
    """
    rest = iter(new)
    return _map(lambda leaf: next(rest), tree)


def rebuild_named(tree: Tree, new: list[Any]) -> Tree:
    """The same, of what belongs to the leaves, such as gradients: a dict by name for a module, and None for a constant.

    >>> rebuild_named({"a": 1, "b": "relu"}, [10])
    {'a': 10, 'b': None}
    """
    rest = iter(new)
    return _map(lambda leaf: next(rest), tree, named=True)


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


def is_constant(x: Any) -> bool:
    """Whether what is no container is no number either: None, a text, a truth value, a function."""
    return x is None or isinstance(x, (str, bytes, bool)) or callable(x)


def children(tree: Tree) -> list[Any] | None:
    """What a container holds; None for what is none. A module holds the arrays of its Parameters that are not frozen."""
    if isinstance(tree, (tuple, list)):
        return list(tree)
    if isinstance(tree, dict):
        return list(tree.values())
    if _is_dataclass(tree):
        return [getattr(tree, field.name) for field in fields(tree)]
    return list(_parameters(tree).values()) if _is_module(tree) else None


def _is_dataclass(tree: Tree) -> bool:
    return hasattr(type(tree), "__dataclass_fields__")


def _is_module(tree: Tree) -> bool:
    return hasattr(type(tree), "with_parameters")


def _parameters(module: Any) -> dict[str, Any]:
    every = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    # those that a transform has put into a module are differentiated around it, and stay Variables
    return {name: p._data if p._edge.__class__ is Leaf and p._edge.generation < 0 else p for name, p in every.items()}


def _map(f: Callable[[Any], Any], tree: Tree, named: bool = False) -> Tree:
    if tree.__class__ is ndarray or isinstance(tree, Variable):  # seen at once
        return f(tree)
    if isinstance(tree, tuple):
        made = [_map(f, child, named) for child in tree]
        return type(tree)(*made) if hasattr(tree, "_fields") else tuple(made)
    if isinstance(tree, list):
        return [_map(f, child, named) for child in tree]
    if isinstance(tree, dict):
        return {key: _map(f, child, named) for key, child in tree.items()}
    if _is_dataclass(tree):
        return replace(tree, **{field.name: _map(f, getattr(tree, field.name), named) for field in fields(tree)})
    if _is_module(tree):
        changed = {name: f(parameter) for name, parameter in _parameters(tree).items()}
        return changed if named else tree.with_parameters(changed)
    if is_constant(tree):
        return None if named else tree
    return f(tree)
