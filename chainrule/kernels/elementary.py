"""What ``math`` names: elementary functions of one number, in Numba's language, written for loops that LLVM vectorises.

There are no branches and no calls of the C library in them: a choice is a select, a power of two is put together from its bits.
NaN, infinities, subnormal numbers and signed zeros come out as NumPy's do. In float32 each is within 2 units in the last place
over the whole range; so it is in float64, where ``pow`` is the C library's. ``tests/test_activation.py`` measures it.

The method is the usual one: reduce the argument, evaluate a polynomial (near-minimax, fitted by Remez's exchange), undo the
reduction. Both dtypes share the code and differ in constants and in the polynomials' degrees.

Source: J.-M. Muller, Elementary Functions: Algorithms and Implementation (2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from .compiler import part

# 'contract' lets products and sums be fused. No flag that would assume NaN and infinities away, or reorder sums.
_inlined = partial(part, options={"forceinline": True, "fastmath": {"contract"}, "error_model": "numpy"})


def _polynomial(coefficients: Sequence[Any]) -> Any:
    """By Horner's rule, the coefficient of the highest power first. It is written out: LLVM would not unroll a long loop."""
    names = {f"c{k}": c for k, c in enumerate(coefficients)}
    nested = reduce(lambda inner, name: f"({inner}) * x + {name}", names)
    return _inlined(eval(f"lambda x: {nested}", names))


def _functions(
    float_: Any,
    int_: Any,
    *,
    ln2: tuple[float, float],
    exp: tuple[float, ...],
    log: tuple[float, ...],
    log1p: tuple[float, ...],
    tanh: tuple[float, ...],
    erf_near: tuple[float, ...],
    erf_far: tuple[float, ...],
    tail_over: tuple[float, ...],
    tail_under: tuple[float, ...],
) -> dict[str, Callable[..., Any]]:
    """The functions for one dtype.

    Args:
        float_: the dtype.
        int_: the integer of the same width.
        ln2: log(2) in two parts, of which the first has so few bits that its product with an exponent is exact.
        exp: of (exp(r) - 1 - r) / r^2 for abs(r) <= log(2) / 2.
        log: of (2 artanh(s) - 2 s) / s^3, in s^2, for s <= (sqrt(2) - 1) / (sqrt(2) + 1).
        log1p: the same for s <= 1/3.
        tanh: of (tanh(x) / x - 1) / x^2, in x^2, for abs(x) <= 0.625.
        erf_near: of erf(x) / x - 1, in x^2, for abs(x) <= 1.
        erf_far: of exp(x^2) erfc(x), in (x - 2) / (x + 2), from 1 to where erf is 1.
        tail_over, tail_under: whose quotient is the normal distribution's tail beyond x over exp(-x^2 / 2), from 0 to where
            that is 0.
    """
    # Plain numbers would make float64 of everything in Numba: each constant has the dtype.
    bits = np.finfo(float_).nmant
    number, one_, two, half, limit = float_, float_(1), float_(2), float_(0.5), float_(0.625)
    ln2_high, ln2_low, log2_e = float_(ln2[0]), float_(ln2[1]), float_(1 / math.log(2))
    exp_p, log_p, log1p_p, tanh_p, near_p, far_p, over_p, under_p = (
        _polynomial([float_(c) for c in p]) for p in (exp, log, log1p, tanh, erf_near, erf_far, tail_over, tail_under)
    )
    powers = range(len(exp) - 1, -1, -1)
    negative_exp_p = _polynomial([float_(c * (-1) ** k * 2 ** (bits + 1)) for k, c in zip(powers, exp, strict=True)])
    half_exp_p = _polynomial([*[float_(c / (-2) ** (k + 2)) for k, c in zip(powers, exp, strict=True)], -half, one_])
    infinity, nan, tiny = float_(np.inf), float_(np.nan), np.finfo(float_).tiny
    width, one_bits = int_(bits), one_.view(int_)
    bias = int_(np.finfo(float_).maxexp - 1)
    # Adding one of these rounds to an integer, which then stands in the last bits, plus the bias of exponents or twice that.
    rounder, single_rounder = float_(1.5 * 2**bits + 2 * bias), float_(1.5 * 2**bits + bias)
    unit_rounder = float_(1.5 * 2**bits + bias + bits + 1)
    rounder_bits, no_bits = rounder.view(int_), float_(1.5 * 2**bits).view(int_)
    normal_lowest = float_(math.log(np.finfo(float_).tiny))
    scale_offset = int_(bias + 1)
    exp_lowest = float_(math.log(np.finfo(float_).smallest_subnormal) - 1)
    exp_highest = float_(math.log(np.finfo(float_).max) + 0.1)
    expm1_lowest = float_(-(bits + 3) * math.log(2))  # there it is -1
    sigmoid_highest = float_((bits + 8) * math.log(2))  # there it is 1
    half_log2_e, two_ln2 = float_(0.5 / math.log(2)), float_(2 * math.log(2))
    normal_highest = float_(math.sqrt(-2 * exp_lowest))  # there the density is 0
    erf_highest = float_(4 if bits < 30 else 6)  # there it is 1
    sqrt_half_bits = float_(math.sqrt(0.5)).view(int_)
    upscale, upscale_exponent, unit = float_(2**bits), int_(bits), float_(2 ** (bits + 1))

    @_inlined
    def reduced(x: Any, rounder: Any) -> Any:
        """The bits of k + rounder, and exp(r) - 1, for x = k log(2) + r."""
        shifted = x * log2_e + rounder
        n = shifted - rounder
        r = x - n * ln2_high
        r = r - n * ln2_low
        return number(shifted).view(int_), r * r * exp_p(r) + r

    @_inlined
    def exp_(x: Any) -> Any:
        x = exp_lowest if x < exp_lowest else x
        x = exp_highest if x > exp_highest else x
        k, y = reduced(x, rounder)
        half_k = int_(k >> int_(1))  # in two steps, as 2^k may be no normal number
        return (one_ + y) * int_(half_k << width).view(number) * int_(int_(k - half_k) << width).view(number)

    @_inlined
    def exp_below_zero(x: Any) -> Any:
        k, y = reduced(x, single_rounder)
        y = (one_ + y) * int_(k << width).view(number)
        return float_(0) if x < normal_lowest else y

    @_inlined
    def expm1(x: Any) -> Any:
        highest = exp_highest if x > exp_highest else x
        k, y = reduced(expm1_lowest if x < expm1_lowest else highest, rounder)
        scale = int_((k - scale_offset) << width).view(number)
        made = (scale * y + (scale - half)) * two
        return x if x == 0 else (y if k == rounder_bits else made)

    @_inlined
    def parts(x: Any) -> Any:
        """K and m - 1 for x = 2^k m, sqrt(1/2) <= m < sqrt(2)."""
        small = x < tiny
        i = number(x * upscale if small else x).view(int_)
        k = int_(int_(i - sqrt_half_bits) >> width)
        m = int_(i - int_(k << width)).view(number)
        return (int_(k - upscale_exponent) if small else k), m - one_

    @_inlined
    def log_of_parts(k: Any, f: Any) -> Any:
        """log(1 + f) + k log(2), by s = f / (2 + f), for which log(1 + f) = 2 artanh(s) = f - s (f - s^2 p(s^2))."""
        s = f / (two + f)
        z = s * s
        squared = half * f * f
        n = number(k)
        return n * ln2_high - ((squared - (s * (squared + z * log_p(z)) + n * ln2_low)) - f)

    @_inlined
    def log_(x: Any) -> Any:
        k, f = parts(x)
        y = log_of_parts(k, f)
        y = y if x < infinity else x
        y = nan if x < 0 else y
        return -infinity if x == 0 else y

    @_inlined
    def log1p_(x: Any) -> Any:
        y = one_ + x
        k, f = parts(y)
        lost = x - (y - one_)
        lowered = int_(k if k < bias else bias - int_(1))
        z = log_of_parts(k, f + lost * int_(one_bits - int_(lowered << width)).view(number))
        z = z if y < infinity else y
        z = nan if y < 0 else z
        z = -infinity if y == 0 else z
        return x if y == one_ else z

    @_inlined
    def tanh_(x: Any) -> Any:
        a = math.fabs(x)
        z = a * a
        near = a + a * (z * tanh_p(z))
        far = one_ - two / (one_ + exp_(two * a))
        return math.copysign(near if a < limit else far, x)

    @_inlined
    def sigmoid(x: Any) -> Any:
        """2^k / (2^k + exp(-r)) for x = k log(2) + r, both times ``unit``, as 2^k may be no normal number."""
        x = exp_lowest if x < exp_lowest else x
        x = sigmoid_highest if x > sigmoid_highest else x
        shifted = x * log2_e + unit_rounder
        n = shifted - unit_rounder
        r = x - n * ln2_high
        r = r - n * ln2_low
        power = int_(number(shifted).view(int_) << width).view(number)
        divisor = power + unit
        lost = power - (divisor - unit)
        return power / (divisor + (r * r * negative_exp_p(r) + (lost - r * unit)))

    @_inlined
    def softplus(x: Any) -> Any:
        e = exp_(-math.fabs(x))
        s = e / (two + e)
        z = s * s
        return (float_(0) if x < 0 else x) + (e - s * (e - z * log1p_p(z)))

    @_inlined
    def erf(x: Any) -> Any:
        a = math.fabs(x)
        b = erf_highest if a > erf_highest else a
        near = a + a * near_p(a * a)
        far = one_ - exp_(-(a * a)) * far_p((b - two) / (b + two))
        return math.copysign(near if a < one_ else far, x)

    @_inlined
    def normal(x: Any) -> Any:
        a = math.fabs(x)
        a = normal_highest if a > normal_highest else a
        square = a * a
        shifted = single_rounder - square * half_log2_e
        k = number(shifted).view(int_)
        k = no_bits if k < no_bits else k  # the power of two is 0 then
        y = half_exp_p(square + (shifted - single_rounder) * two_ln2) * int_(k << width).view(number)
        tail = y * over_p(a) / under_p(a)
        return y, (one_ - tail if x > 0 else tail)

    return {
        "exp": exp_,
        "exp_below_zero": exp_below_zero,
        "expm1": expm1,
        "log": log_,
        "log1p": log1p_,
        "tanh": tanh_,
        "sigmoid": sigmoid,
        "softplus": softplus,
        "erf": erf,
        "normal": normal,
    }


_SINGLE = _functions(
    np.float32,
    np.int32,
    ln2=(0.693359375, -2.1219444e-4),
    exp=(0.0013951718681444502, 0.008369598203542512, 0.041666187265387296, 0.16666512890683324, 0.5000000100983344),
    log=(0.23576231177792376, 0.285376734881449, 0.40000328132926766, 0.6666666568723437),
    log1p=(0.24300933010544298, 0.21427658493543622, 0.2861688471211179, 0.39998877747563444, 0.6666667562190448),
    tanh=(-0.005717045461856567, 0.020650587727286805, -0.05374349824047907, 0.1333149128936176, -0.33333283925398977),
    erf_near=(
        7.85386083667746e-05, -0.0008010193463074068, 0.005188327666686996, -0.02685381192512982, 0.11283585148382262,
        -0.37612625824218526, 0.1283791657267133,
    ),
    erf_far=(
        0.007212550110827927, 0.0037297385850526875, -0.07898690611847071, 0.2416572702138677, -0.4271858534952637,
        0.2553956779131342,
    ),
    tail_over=(
        0.3989469648303788, 3.939835226927935, 17.772301850507723, 42.52229880499632, 48.52536342077732,
    ),
    tail_under=(
        1.0, 9.876332976487529, 45.53394396931055, 116.65899471326642, 162.4799141086563, 97.05072627527002,
    ),
)  # fmt: skip

_DOUBLE = _functions(
    np.float64,
    np.int64,
    ln2=(0.6931471803691238, 1.9082149292705877e-10),
    exp=(
        2.092789415121151e-09, 2.5113438037165247e-08, 2.755723007486488e-07, 2.7557230817254705e-06, 2.480158737792454e-05,
        0.0001984126990045921, 0.0013888888888856062, 0.008333333333315377, 0.04166666666666673, 0.16666666666666685, 0.5,
    ),
    log=(
        0.14761235780479823, 0.15317778823787478, 0.18183405736698302, 0.22222201952723167, 0.28571428704968316,
        0.39999999999613756, 0.6666666666666696,
    ),
    log1p=(
        0.16975366073268752, 0.08365069589794105, 0.12099918308535036, 0.13301823342242566, 0.1538648852297193,
        0.1818174768180798, 0.22222223847565575, 0.28571428550178785, 0.4000000000013435, 0.6666666666666639,
    ),
    tanh=(
        -1.6107554669083196e-05, 7.721919614153602e-05, -0.0002286332549361971, 0.0005863524901650088, -0.0014549704776427464,
        0.0035919915709731083, -0.008863221319295157, 0.021869487601967535, -0.05396825393248243, 0.13333333333264916,
        -0.33333333333332876,
    ),
    erf_near=(
        5.945259349644249e-11, -1.1365664544718623e-09, 1.465787947828906e-08, -1.635002516936542e-07, 1.6460972812120367e-06,
        -1.4925593506594884e-05, 0.00012055331036887857, -0.0008548326978741898, 0.005223977624780862, -0.026866170645072896,
        0.11283791670954857, -0.3761263890318375, 0.1283791670955126,
    ),
    erf_far=(
        -1.2583711834467338e-05, -2.670072905909082e-05, 2.7468320768977327e-05, 0.00017422528140208533,
        4.3534261669298405e-05, -0.0009819721366284145, -0.0008471417418740491, 0.006997461765509675, 0.003732892380711915,
        -0.07897858101744362, 0.24165819424252719, -0.4271858474139522, 0.25539567631050575,
    ),
    tail_over=(
        0.39894228040020097, 10.731259487153505, 141.33073231648865, 1178.937748313548, 6812.667342612702,
        28185.395092887607, 83495.11631819012, 171478.86805420375, 223742.85022844808, 144421.4139322736,
    ),
    tail_under=(
        1.0, 26.899278452265104, 355.2636097579186, 2982.0579691009566, 17429.08832156258, 73551.6649706575,
        225669.58814706758, 494841.6054209621, 739461.3090759725, 677948.9333086552, 288842.8278645472,
    ),
)  # fmt: skip


def _for_both(name: str) -> Callable[[Any], Any]:
    """A function that stands for that of its argument's dtype, to be called in compiled code."""

    def function(x: Any) -> Any:
        raise NotImplementedError

    def choose(x: Any) -> Any:
        chosen = _SINGLE[name] if x == types.float32 else _DOUBLE[name]
        return lambda x: chosen(x)

    overload(function, jit_options={"forceinline": True}, strict=False)(choose)
    return function


exp, exp_below_zero, expm1 = map(_for_both, ("exp", "exp_below_zero", "expm1"))
log, log1p = map(_for_both, ("log", "log1p"))
tanh, sigmoid, softplus, erf, normal = map(_for_both, ("tanh", "sigmoid", "softplus", "erf", "normal"))


def pow(x: Any, y: Any) -> Any:
    raise NotImplementedError


_exp, _log = _DOUBLE["exp"], _DOUBLE["log"]


@_inlined
def _single_pow(x: Any, y: Any) -> Any:
    """In float64, so that the product with the logarithm costs no precision."""
    y = np.float64(y)
    magnitude = math.fabs(np.float64(x))
    power = _exp(y * _log(magnitude))
    power = 1.0 if (magnitude == 1.0) & (y == y) else power
    is_integer, is_odd = math.floor(y) == y, math.floor(0.5 * y) != 0.5 * y
    power = np.nan if (x < 0) & (x != -np.inf) & ~is_integer else power
    power = -power if (math.copysign(np.float32(1), x) < 0) & is_integer & is_odd else power
    return np.float32(1.0 if (y == 0) | (x == 1) else power)


@overload(pow, jit_options={"forceinline": True}, strict=False)
def _pow(x: Any, y: Any) -> Any:
    if x == types.float32 and y == types.float32:
        return lambda x, y: _single_pow(x, y)
    return lambda x, y: math.pow(x, y)
