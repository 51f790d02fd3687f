"""The functions without a useful gradient: on a Variable they run on its data and return plain values."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dispatch import NO_GRADIENT, UNSUPPORTED

_UFUNCS = """
    floor ceil trunc rint signbit isnan isinf isfinite isnat spacing nextafter floor_divide
    greater greater_equal less less_equal equal not_equal logical_and logical_or logical_xor logical_not
    bitwise_and bitwise_or bitwise_xor invert left_shift right_shift bitwise_count gcd lcm
"""

_FUNCTIONS = """
    all any allclose array_equal array_equiv isclose isin iscomplex iscomplexobj isreal isrealobj isneginf isposinf
    argmax argmin nanargmax nanargmin argsort argpartition argwhere nonzero flatnonzero count_nonzero searchsorted digitize
    lexsort unique unique_all unique_counts unique_inverse unique_values union1d intersect1d setdiff1d setxor1d
    around round fix ndim shape size isscalar result_type can_cast min_scalar_type common_type may_share_memory shares_memory
    empty_like zeros_like ones_like array2string array_repr array_str ix_ diag_indices_from tril_indices_from
    triu_indices_from ravel_multi_index unravel_index packbits unpackbits einsum_path histogram_bin_edges
    save savetxt savez savez_compressed
"""


def named(names: str) -> set[Any]:
    """NumPy's functions of these names, without those that this release of it lacks."""
    return {getattr(np, name) for name in names.split() if hasattr(np, name)}


NO_GRADIENT |= named(_UFUNCS) | named(_FUNCTIONS) | {np.linalg.matrix_rank}


#: What makes an array of its arguments. NumPy can only be caught there by ``like=``.
_MAKERS = """
    arange array asanyarray asarray ascontiguousarray asfortranarray empty eye frombuffer fromfile fromfunction fromiter
    fromstring full genfromtxt identity loadtxt ones require tri zeros r_ c_
"""
_DATES = "busday_count busday_offset is_busday datetime_as_string"

UNSUPPORTED |= dict.fromkeys(
    named(_MAKERS),
    "it makes a plain array, and would lose the gradient; use chainrule.array, np.stack, np.concatenate or np.broadcast_to, "
    "or v.data",
) | dict.fromkeys(named(_DATES), "a Variable holds numbers, not dates")
