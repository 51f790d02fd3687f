"""The ufuncs of scipy.special: called on a Variable, they give SciPy's values, and derivatives right to second order."""

import subprocess
import sys

import numpy as np
import pytest

from chainrule import Variable, check_grads
from chainrule.dispatch import is_known

sp = pytest.importorskip("scipy.special")

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

X = np.array([-1.3, -0.4, 0.2, 0.9, 2.1])
POSITIVE = np.array([0.3, 0.8, 1.9, 4.2, 2.6])
P, Q, R = POSITIVE, np.array([1.2, 0.5, 2.3, 0.9, 1.4]), np.array([2.2, 1.4, 0.6, 3.1, 0.2])
UNIT = np.array([0.07, 0.3, 0.6, 0.92, 0.5])
WITHIN = np.array([-0.9, -0.3, 0.2, 0.7, 0.4])
Z = X + 1j * np.array([0.3, -0.8, 1.1, 0.4, -0.2])
ZERO = np.zeros(5)

#: Names of functions, and arguments: the arrays are differentiated, numbers are not.
CASES = [
    ("erf erfc erfcx erfi dawsn wofz ndtr log_ndtr expit log_expit exp2 exp10 expm1 exprel cbrt cosm1 sindg cosdg tandg", X),
    ("j0 j1 i0 i1 i0e i1e itmodstruve0 airy fresnel wrightomega rgamma ber bei", X),
    ("gamma gammaln loggamma digamma psi rgamma log1p y0 y1 k0 k1 k0e k1e itstruve0 it2struve0 itj0y0 iti0k0 it2j0y0", P),
    ("it2i0k0 ber bei ker kei berp beip kerp keip kelvin airye itairy exp1 expi spence sici shichi modfresnelp modfresnelm", P),
    ("exprel spence entr cotdg xlogy xlog1py", P),
    ("logit ndtri erfinv erfcinv ellipk ellipe ellipkm1 entr", UNIT),
    ("erfinv log1p", WITHIN),
    ("ndtri_exp gamma gammaln psi rgamma expi ellipk ellipe log_ndtr sici shichi", -P),
    ("erf erfc erfi erfcx dawsn wofz expm1 log1p airy airye fresnel exp1 expi spence sici shichi wrightomega", Z),
    ("beta betaln poch xlogy xlog1py rel_entr kl_div huber pseudo_huber boxcox boxcox1p inv_boxcox inv_boxcox1p", P, R),
    ("powm1 owens_t agm elliprc", P, R),
    ("xlogy xlog1py elliprc", Z, Z[::-1] + 2),
    ("binom", P + 3, P), ("binom", 6, P), ("powm1 huber pseudo_huber boxcox", P, X), ("owens_t", X, X[::-1].copy()),
    ("boxcox", P, ZERO), ("inv_boxcox", X, ZERO), ("inv_boxcox", P, -UNIT / 5), ("boxcox1p", UNIT, X), ("elliprc", P, P + 0.0),
    *((names, v, x) for v in (0.0, 1.0, 2, 1.5, 3.2) for names, x in (
        ("jv yv iv kv jve yve ive kve struve modstruve", P), ("jv yv iv kv jve yve ive kve hankel1 hankel2 hankel1e hankel2e", Z))),
    ("jv jn iv ive", 2, X),
    *(("kn yn expn", n, P) for n in (0, 1, 2, 5)),
    *(("eval_legendre eval_sh_legendre eval_chebyt eval_chebyc eval_sh_chebyt eval_chebyu eval_chebys eval_sh_chebyu eval_hermite "
       "eval_hermitenorm eval_laguerre", n, WITHIN) for n in (0, 1, 2, 5)),
    *(("eval_genlaguerre eval_gegenbauer", n, 0.7, WITHIN) for n in (0, 1, 4)),
    *(("eval_jacobi eval_sh_jacobi", n, 2.3, 1.4, UNIT) for n in (0, 1, 4)),
    ("eval_legendre eval_chebyt eval_laguerre", 1.7, WITHIN), ("eval_legendre eval_chebyu", 2, Z),
    ("lpmv", 1, 2, WITHIN), ("lpmv", 0, 3, WITHIN), ("lpmv", 0, 0, WITHIN), ("lpmv", 2, 3.5, WITHIN),
    *(case for a in (0.6, 1.0, 2.5) for case in [
        ("gammainc gammaincc chdtr chdtrc", a, P), ("gammaincinv gammainccinv chdtri stdtrit", a, UNIT), ("stdtr", a, X),
        ("betainc betaincc betaincinv betainccinv", a, 1.7, UNIT), ("fdtr fdtrc", a, 2.2, P), ("fdtri", a, 2.2, UNIT)]),
    ("bdtr bdtrc bdtri nbdtr nbdtrc nbdtri", 2, 5, UNIT), ("bdtr", 5, 5, UNIT), ("pdtr pdtrc", 2, P), ("pdtri", 2, UNIT),
    ("gdtr gdtrc", P, 1.7, R), ("gdtrix", P, 1.7, UNIT), ("gdtria", UNIT, 1.7, P), ("chndtr", P, 2.5, R), ("chndtrix", UNIT, 2.5, R),
    ("tklmbda", WITHIN, 0.7), ("nrdtrimn", UNIT, P, R), ("nrdtrisd", X, UNIT - 0.2 * (UNIT == 0.5), R), ("voigt_profile", X, P, R),
    ("besselpoly", P, 1.0, 2.0), ("besselpoly", P, 1.0, 0.0), ("wright_bessel log_wright_bessel", 0.5, 1.2, P),
    *(("pbdv pbvv pbwa", v, X) for v in (0.0, 1.0, 1.5)), ("radian", X, X, X),
    ("hyp0f1", 1.3, X), ("hyp0f1", 1.3, Z), ("hyp1f1", 0.7, 1.9, X), ("hyp1f1", 0.7, 1.9, Z), ("hyperu", 0.7, 1.9, P),
    ("hyp2f1", 0.7, 1.9, 2.2, WITHIN), ("hyp2f1", 0.7, 1.9, 2.2, Z / 3),
    ("ellipkinc ellipeinc", X * 2, UNIT), ("ellipkinc ellipeinc", X * 2, -P), ("ellipkinc ellipeinc", X * 2, ZERO),
    ("elliprj", P, Q, R, P + Q), ("kolmogorov", P + 0.2), ("kolmogi", UNIT),
    *(("mathieu_cem mathieu_sem", m, q, 30 * X) for m, q in ((1, 0.0), (2, 1.5))),
    ("mathieu_modcem1 mathieu_modcem2 mathieu_modsem1 mathieu_modsem2", 2, 1.5, P / 3),
    *(case for m, n, c in ((0, 1, 1.3), (1, 2, 0.7)) for case in [
        ("pro_ang1 obl_ang1", m, n, c, WITHIN), ("pro_rad1", m, n, c, P + 1.2), ("obl_rad1", m, n, c, P),
        ("pro_ang1_cv", m, n, c, sp.pro_cv(m, n, c), WITHIN), ("obl_ang1_cv", m, n, c, sp.obl_cv(m, n, c), WITHIN),
        ("pro_rad1_cv", m, n, c, sp.pro_cv(m, n, c), P + 1.2), ("obl_rad1_cv", m, n, c, sp.obl_cv(m, n, c), P)]),
    # elsewhere the values and derivatives that SciPy itself gives of the second kind do not belong together
    ("pro_rad2 obl_rad2", 0, 1, 1.3, P + 2), ("pro_rad2_cv", 0, 1, 1.3, sp.pro_cv(0, 1, 1.3), P + 2),
    ("obl_rad2_cv", 0, 1, 1.3, sp.obl_cv(0, 1, 1.3), P + 2),
    ("ellipj", X, UNIT), ("ellipj", X, 0.0), ("elliprf elliprg elliprd", P, Q, R), ("elliprf", Z + 3, Z[::-1] + 2, np.abs(Z) + 1),
]  # fmt: skip


def ufuncs(names):
    return [getattr(sp, name) for name in names.split() if hasattr(sp, name)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0][:30]} {[np.ndim(a) or a for a in case[1:]]}")
def test_values_and_derivatives(case):
    names, *args = case
    arrays = [i for i, a in enumerate(args) if isinstance(a, np.ndarray)]

    def put(xs):
        return [xs[arrays.index(i)] if i in arrays else a for i, a in enumerate(args)]

    for f in ufuncs(names):
        if f.nin != len(args):
            continue
        got, expected = f(*put([Variable(args[i]) for i in arrays])), f(*args)
        for ours, scipys in zip(*[y if f.nout > 1 else [y] for y in (got, expected)], strict=True):
            np.testing.assert_array_equal(ours.data, scipys)
        check_grads(lambda *xs, f=f: f(*put(xs)), [args[i] for i in arrays])


def test_single_precision_stays_single():
    for names, *args in CASES:
        for f in ufuncs(names):
            if f.nin == len(args) == 1 and args[0].dtype.kind == "f":
                x = Variable(args[0].astype("f4"))
                ys = f(x) if f.nout > 1 else [f(x)]
                assert [y.dtype for y in ys] == [y.dtype for y in (f(x.data) if f.nout > 1 else [f(x.data)])], f
                ys[0].backward()
                assert x.grad.dtype == np.float32


def test_edges_where_others_give_nan():
    def gradients(f, *xs):
        variables = [Variable(np.array(x, float)) for x in xs]
        f(*variables).backward()
        return [v.grad.tolist() for v in variables]

    inf = np.inf
    assert gradients(sp.xlogy, [0, 0, 0], [2, 0, 1]) == [[np.log(2), 0, 0], [0, 0, 0]]
    assert gradients(sp.xlog1py, [0, 0], [-1, 0]) == [[0, 0], [0, 0]]
    assert gradients(sp.entr, [0, 1]) == [[inf, -1]]
    assert gradients(sp.rel_entr, [0, 0, 1], [1, 0, 1]) == [[-inf, 1, 1], [0, 0, -1]]
    assert gradients(sp.kl_div, [0, 0, 1], [1, 0, 1]) == [[-inf, 0, 0], [1, 1, 0]]
    assert gradients(sp.pseudo_huber, [0, 1], [0, 0]) == [[0, 0], [0, 0]]
    np.testing.assert_allclose(gradients(sp.rgamma, [0, -1, -2]), [[1, -1, 2]])
    assert gradients(lambda x: sp.gammainc(1.0, x), [0]) == [[1]]
    assert gradients(lambda x: sp.betainc(1.0, 2.0, x), [0]) == [[2]]
    np.testing.assert_allclose(gradients(sp.log_ndtr, [-1e10, -40, 40]), [[1e10, 40.0249688, 0]], rtol=1e-7)
    np.testing.assert_allclose(gradients(sp.ellipk, [0, -100]), [[np.pi / 8, (sp.ellipe(-100) / 101 - sp.ellipk(-100)) / -200]])
    np.testing.assert_allclose(gradients(sp.log_expit, [-1e3, 1e3]), [[1, 0]])


def test_arguments_that_have_no_derivative_are_errors_that_name_them():
    v = Variable(P)
    for call, name in [
        (lambda: sp.jv(v, 1.0), "jv is not differentiable in 'v'"),
        (lambda: sp.gammainc(v, v), "gammainc is not differentiable in 'a'"),
        (lambda: sp.hyp2f1(1.0, v, 2.0, 0.5), "hyp2f1 is not differentiable in 'b'"),
        (lambda: sp.smirnovi(2, v), "scipy.special.smirnovi has no derivative rule"),
        (lambda: sp.logsumexp(v), "Variable"),
        (lambda: sp.polygamma(1, v), "Variable"),
    ]:
        with pytest.raises(TypeError, match=name):
            call()
    assert isinstance(sp.gammasgn(v), np.ndarray)
    np.testing.assert_array_equal(sp.jv([0, 1, 0, 1, 0], v).data, sp.jv([0, 1, 0, 1, 0], P))


def test_options_of_ufuncs():
    v = Variable(P)
    assert sp.erf(v, dtype=np.float32).dtype == np.float32
    with pytest.raises(TypeError, match="out="):
        sp.erf(v, out=np.zeros(5))
    with pytest.raises(TypeError, match="where"):
        sp.erf(v, where=P > 1)


#: Those without a rule: no derivative in closed form, or one that needs a function that SciPy doesn't have.
WITHOUT = """
    bdtrik bdtrin btdtria btdtrib chdtriv chndtridf chndtrinc fdtridfd gdtrib mathieu_a mathieu_b nbdtrik nbdtrin ncfdtr ncfdtri
    ncfdtridfd ncfdtridfn ncfdtrinc nctdtr nctdtridf nctdtrinc nctdtrit obl_cv pdtrik pro_cv smirnov smirnovi stdtridf zetac
"""


def test_every_ufunc_has_a_rule_or_a_reason():
    every = {name for name in dir(sp) if isinstance(getattr(sp, name), np.ufunc)}
    assert {name for name in every if not is_known(getattr(sp, name))} <= set(WITHOUT.split())
    tested = {f for names, *_ in CASES for f in ufuncs(names)} | {sp.gammasgn, sp.round}
    assert {name for name in every - set(WITHOUT.split()) if getattr(sp, name) not in tested} == set()


def test_the_table_is_imported_late_and_overwrites_nothing():
    script = """
import sys, numpy as np, chainrule as cr
assert not any(name.startswith("scipy") for name in sys.modules)
import scipy.special as sp
assert "chainrule.calculus.special" not in sys.modules
cr.define_rule(sp.erfc, signature=lambda x: None, x=lambda g, x: 7 * g)
x = cr.Variable(np.array(0.5))
sp.erf(x).backward()
assert "chainrule.calculus.special" in sys.modules
x.reset_grad()
sp.erfc(x).backward()
print(x.grad)
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "7.0\n"
