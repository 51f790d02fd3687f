"""Transforms: each against an analytic answer or another transform, nested, and over containers."""

import gc
from dataclasses import dataclass

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule import Variable, nn
from chainrule.trees import leaves, rebuild, tree_map

X = np.array([0.3, -1.2, 2.0])
A = np.random.default_rng(0).normal(size=(3, 3))


def quadratic(x):
    return x @ A @ x / 2 + np.sum(np.sin(x))


HESSIAN = (A + A.T) / 2 - np.diag(np.sin(X))


# ---- gradients ------------------------------------------------------------------------------------------


def test_grad_and_value():
    expected = (A + A.T) @ X / 2 + np.cos(X)
    np.testing.assert_allclose(cr.grad(quadratic)(X), expected)
    value, gradient = cr.value_and_grad(quadratic)(X)
    assert type(value) is np.ndarray
    assert type(gradient) is np.ndarray
    np.testing.assert_allclose(value, quadratic(X))
    np.testing.assert_allclose(gradient, expected)


def test_argnums_keywords_and_aux():
    def f(x, y, scale=1.0):
        return np.sum(x * y**2) * scale, {"product": x * y}

    (gx, gy), aux = cr.grad(f, argnums=(0, -1), has_aux=True)(X, X + 3, scale=2.0)
    np.testing.assert_allclose(gx, 2 * (X + 3) ** 2)
    np.testing.assert_allclose(gy, 4 * X * (X + 3))
    assert type(aux["product"]) is np.ndarray
    (value, aux), gy = cr.value_and_grad(f, argnums=1, has_aux=True)(X, X + 3)
    np.testing.assert_allclose(value, np.sum(X * (X + 3) ** 2))
    with pytest.raises(ValueError, match="argnums 2 for a call with 1"):
        cr.grad(np.sin, argnums=2)(1.0)


def test_grad_of_grad_of_grad():
    f = np.sin
    for expected in (np.cos(0.7), -np.sin(0.7), -np.cos(0.7), np.sin(0.7)):
        f = cr.grad(f)
        np.testing.assert_allclose(f(0.7), expected)


def test_inner_gradient_of_a_variable_of_the_outer_one():
    # d/dx of x * (d/dy of x * y^2 at y = x) = d/dx 2 x^3
    np.testing.assert_allclose(cr.grad(lambda x: x * cr.grad(lambda y: x * y**2)(x))(3.0), 6 * 9.0)


@pytest.mark.parametrize("outer", ["grad", "forward"])
@pytest.mark.parametrize("inner", ["grad", "forward"])
def test_no_confusion_of_perturbations(outer, inner):
    def derivative(f, mode):
        return cr.grad(f) if mode == "grad" else lambda x: cr.jvp(f, [x], [1.0])[1]

    # d/dx (x d/dy (x + y)) = 1, a classic that naive forward modes get wrong
    np.testing.assert_allclose(derivative(lambda x: x * derivative(lambda y: x + y, inner)(1.0), outer)(1.0), 1.0)
    np.testing.assert_allclose(derivative(derivative(lambda x: np.exp(2 * x), inner), outer)(0.5), 4 * np.exp(1.0))


def test_grad_of_what_does_not_depend_on_it_is_zero():
    np.testing.assert_array_equal(cr.grad(lambda x: 3.0)(X), np.zeros(3))
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(x > 0))(X), np.zeros(3))
    np.testing.assert_array_equal(cr.grad(lambda x: x)(2.0), 1.0)
    _, gy = cr.grad(lambda x, y: np.sum(x), argnums=(0, 1))(X, X)
    np.testing.assert_array_equal(gy, np.zeros(3))


def test_grad_refuses_what_is_no_scalar():
    with pytest.raises(TypeError, match=r"shape \(3,\).*elementwise_grad"):
        cr.grad(np.sin)(X)
    with pytest.raises(TypeError, match="holomorphic"):
        cr.grad(lambda z: z**2)(1.0 + 1j)


def test_holomorphic():
    z = 0.5 + 0.25j
    np.testing.assert_allclose(cr.grad(lambda z: np.exp(z) * z, holomorphic=True)(z), np.exp(z) * (1 + z))


def test_elementwise_grad():
    np.testing.assert_allclose(cr.elementwise_grad(np.tanh)(X), 1 - np.tanh(X) ** 2)
    np.testing.assert_allclose(cr.elementwise_grad(cr.elementwise_grad(np.sin))(X), -np.sin(X))
    np.testing.assert_allclose(cr.elementwise_grad(lambda a, x: a * x**2, argnums=1)(3.0, X), 6 * X)


# ---- products -------------------------------------------------------------------------------------------


def f(x, y):
    return np.tanh(x) * y[0], np.sum(x) * y


def test_vjp_jvp_and_linearize_agree():
    rng = np.random.default_rng(1)
    tx, ty, g = rng.normal(size=3), rng.normal(size=2), (rng.normal(size=3), rng.normal(size=2))
    y = np.array([2.0, -1.0])
    value, pull = cr.vjp(f, X, y)
    _, tangent = cr.jvp(f, [X, y], [tx, ty])
    for _ in range(2):  # a pull may be used again
        gx, gy = pull(g)
        np.testing.assert_allclose(gx @ tx + gy @ ty, g[0] @ tangent[0] + g[1] @ tangent[1])
    again, push = cr.linearize(f, X, y)
    for a, b, c in zip(value, f(X, y), again, strict=True):
        np.testing.assert_allclose(a, b)
        np.testing.assert_allclose(c, b)
    for _ in range(2):
        for a, b in zip(push(tx, ty), tangent, strict=True):
            np.testing.assert_allclose(a, b)
    with pytest.raises(ValueError, match="shape"):
        pull((np.ones(2), np.ones(2)))
    with pytest.raises(ValueError, match="shape"):
        cr.jvp(np.sin, [X], [np.ones(2)])


def test_primals_and_tangents_are_lists():
    for primals, tangents in ((1.0, 1.0), ([X], X), ([X, X], [X])):
        with pytest.raises(TypeError, match=r"jvp\(f, \[x\], \[t\]\)"):
            cr.jvp(np.sin, primals, tangents)
    with pytest.raises(TypeError, match="two lists"):
        cr.hvp(quadratic, X, X)


def test_transforms_of_transforms():
    v = np.array([1.0, 0.5, -1.0])
    np.testing.assert_allclose(cr.hvp(quadratic, [X], [v]), HESSIAN @ v)
    np.testing.assert_allclose(cr.grad(lambda x: cr.jvp(quadratic, [x], [v])[1])(X), HESSIAN @ v)  # reverse over forward
    np.testing.assert_allclose(cr.grad(lambda x: cr.grad(quadratic)(x) @ v)(X), HESSIAN @ v)  # reverse over reverse
    second = cr.jvp(lambda x: cr.jvp(quadratic, [x], [v])[1], [X], [v])[1]  # forward over forward
    np.testing.assert_allclose(second, v @ HESSIAN @ v)
    _, push = cr.linearize(cr.grad(quadratic), X)
    np.testing.assert_allclose(push(v), HESSIAN @ v)
    third = cr.grad(lambda x: cr.hvp(quadratic, [x], [v]) @ v)(X)
    np.testing.assert_allclose(third, -np.cos(X) * v**2)


def test_forward_mode_keeps_no_tape():
    import tracemalloc

    x = np.ones(100_000)

    def chain(x):
        for _ in range(50):
            x = np.sin(x)
        return x

    tracemalloc.start()
    cr.jvp(chain, [x], [x])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * x.nbytes


def test_generalised_gauss_newton():
    def model(x):
        return A @ np.tanh(x)

    def loss(y):
        return np.sum(y**4) / 4

    v, jacobian = np.array([1.0, -2.0, 0.5]), cr.jacobian(model)(X)
    expected = jacobian.T @ np.diag(3 * model(X) ** 2) @ jacobian @ v
    np.testing.assert_allclose(cr.make_ggnvp(model, loss)(X)(v), expected)


# ---- matrices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [None, "forward", "reverse"])
def test_jacobian(mode):
    def g(x, y):
        return np.outer(x, y)[:, :2] ** 2

    y = np.array([1.0, 2.0, 3.0])
    jx, jy = cr.jacobian(g, argnums=(0, 1), mode=mode)(X, y)
    assert jx.shape == (3, 2, 3)
    expected = np.zeros((3, 2, 3))
    for i in range(3):
        expected[i, :, i] = 2 * X[i] * y[:2] ** 2
    np.testing.assert_allclose(jx, expected)
    assert jy.shape == (3, 2, 3)
    np.testing.assert_allclose(jy[:, 1, 1], 2 * X**2 * y[1])
    assert cr.jacobian(np.sin, mode=mode)(0.0).shape == ()
    assert cr.jacobian(lambda x: x[:0], mode=mode)(X).shape == (0, 3)


def test_hessian():
    np.testing.assert_allclose(cr.hessian(quadratic)(X), HESSIAN)
    np.testing.assert_allclose(cr.jacobian(cr.jacobian(quadratic))(X), HESSIAN)
    assert cr.hessian(lambda m: np.sum(m**3))(A).shape == (3, 3, 3, 3)
    with pytest.raises(ValueError, match="mode"):
        cr.jacobian(quadratic, mode="sideways")


# ---- containers and Variables ---------------------------------------------------------------------------


@dataclass
class Weights:
    w: object
    b: object


def test_containers():
    def loss(parameters, x):
        hidden = np.tanh(x @ parameters["first"].w + parameters["first"].b)
        return np.sum((hidden @ parameters["rest"][0]) ** 2) + parameters["rest"][1]

    parameters = {"first": Weights(A, X), "rest": (A[:, :1], np.array(1.0))}
    gradient = cr.grad(loss)(parameters, A)
    assert type(gradient["first"]) is Weights
    assert gradient["first"].w.shape == (3, 3)
    assert gradient["rest"][1] == 1.0
    cr.check_grads(lambda w: loss({"first": Weights(w, X), "rest": parameters["rest"]}, A), (A,), order=1)
    numeric = (
        loss({**parameters, "first": Weights(A, X + 1e-6)}, A) - loss({**parameters, "first": Weights(A, X - 1e-6)}, A)
    ) / 2e-6
    np.testing.assert_allclose(np.sum(gradient["first"].b), numeric, rtol=1e-6)


def test_trees():
    tree = {"a": 1, "b": (2, [3, Weights(4, 5)])}
    assert leaves(tree) == [1, 2, 3, 4, 5]
    assert rebuild(tree, [10, 20, 30, 40, 50]) == {"a": 10, "b": (20, [30, Weights(40, 50)])}
    with pytest.raises(ValueError, match="shorter|longer"):
        tree_map(max, (1, 2), (1,))


def test_variables_in_variables_out():
    x = Variable(X)
    gradient = cr.grad(quadratic)(x)
    assert type(gradient) is Variable
    np.sum(gradient).backward()
    np.testing.assert_allclose(x.grad, HESSIAN.sum(axis=0))


def test_gradient_of_a_network_in_its_input():
    cr.manual_seed(0)
    model = cr.nn.Sequential(cr.nn.Linear(3, 4), cr.nn.Tanh(), cr.nn.Linear(4, 1))
    x = np.ones((2, 3), np.float32)
    gradient = cr.grad(lambda x: np.sum(model(x)))(x)
    v = Variable(x)
    np.sum(model(v)).backward()
    np.testing.assert_allclose(gradient, v.grad, rtol=1e-6)
    assert gradient.dtype == np.float32


# ---- derivatives of one's own ---------------------------------------------------------------------------


def test_stop_gradient():
    np.testing.assert_allclose(cr.grad(lambda x: np.sum(x * cr.stop_gradient({"x": x})["x"]))(X), X)


def test_custom_vjp():
    @cr.custom_vjp
    def log1pexp(x):
        """log(1 + exp(x))."""
        return np.log1p(np.exp(x))

    with pytest.raises(TypeError, match="log1pexp has no derivative"):
        cr.grad(log1pexp)(1.0)
    log1pexp.defvjp(lambda x: (np.log1p(np.exp(x)), np.exp(x)), lambda e, g: (g * (1 - 1 / (1 + e)),))
    assert log1pexp.__doc__ == "log(1 + exp(x))."
    np.testing.assert_allclose(log1pexp(X), np.log1p(np.exp(X)))
    np.testing.assert_allclose(cr.grad(log1pexp)(100.0), 1.0)
    cr.check_grads(log1pexp, (X,), order=3)


def test_layers_in_forward_mode():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 3, 6, 5)), rng.normal(size=(4, 3, 3, 3))

    def net(x, w):
        h = F.max_pool2d(F.relu(F.conv2d(x, w, padding=1)), 2)
        return F.log_softmax(F.layer_norm(np.reshape(h, (2, -1)), (24,)))

    tx, tw = rng.normal(size=x.shape), rng.normal(size=w.shape)
    _, tangent = cr.jvp(net, [x, w], [tx, tw])
    h = 1e-6
    np.testing.assert_allclose(
        tangent, (net(x + h * tx, w + h * tw) - net(x - h * tx, w - h * tw)) / (2 * h), rtol=1e-4, atol=1e-6
    )


def test_gradients_inside_of_forward_are_arrays():
    # as a solver needs them that is given a Jacobian, whatever is differentiated around it
    class Root(cr.Function):
        def forward(self, a):
            x = np.ones_like(a)
            for _ in range(20):
                x = x - (x**3 - a) / np.asarray(cr.elementwise_grad(lambda x: x**3)(x))
            return x

        def backward(self, g):
            return g / (3 * self.outputs[0].data ** 2)

    a = np.array([2.0, 5.0])
    expected = a ** (-2 / 3) / 3
    np.testing.assert_allclose(cr.elementwise_grad(Root())(a), expected)
    np.testing.assert_allclose(cr.jvp(Root(), [a], [np.ones(2)])[1], expected)
    np.testing.assert_allclose(cr.hessian(lambda a: np.sum(Root()(a)))(a), np.diag(-2 / 9 * a ** (-5 / 3)))
    cr.check_grads(Root(), [a], order=3)


def test_inner_gradient_leaves_the_outer_record_alone():
    walked = []

    class Square(cr.Function):
        def forward(self, x):
            return x**2

        def backward(self, g):
            walked.append(None)
            return 2 * self.inputs[0].data * g

    def f(x):
        c = Square()(x)
        return np.sum(cr.jacobian(lambda y: y * c)(np.ones(3)))

    np.testing.assert_allclose(cr.grad(f)(3.0), 3 * 6.0)
    assert len(walked) == 1
    walked.clear()
    np.testing.assert_allclose(cr.grad(lambda x: cr.linearize(lambda y: y * Square()(x), 1.0)[1](1.0))(3.0), 6.0)
    assert len(walked) == 1


def test_transforms_in_a_backward_may_close_over_inputs_and_outputs():
    def residual(x, a):
        return x**2 - a * a[::-1]

    class Root(cr.Function):
        def forward(self, a):
            return np.sqrt(a * a[::-1])

        def backward(self, g):
            x, a = self.outputs[0].data, self.inputs[0].data
            adjoint = np.linalg.solve(cr.jacobian(lambda x: residual(x, a))(x).T, g)
            return -cr.vjp(lambda a: residual(x, a), a)[1](adjoint)[0]

    a = np.array([2.0, 5.0])
    np.testing.assert_allclose(
        cr.hessian(lambda a: np.sum(Root()(a)))(a), cr.hessian(lambda a: np.sum(np.sqrt(a * a[::-1])))(a)
    )
    cr.check_grads(Root(), [a], order=2)


def test_gradients_are_arrays_and_no_scalars():
    for f in (lambda x: x + x, lambda x: np.sin(x) * np.cos(x) + x, lambda x: x):
        assert type(cr.grad(f)(1.0)) is np.ndarray
        assert type(cr.elementwise_grad(f)(1.0)) is np.ndarray
        assert type(cr.vjp(f, 1.0)[1](1.0)[0]) is np.ndarray
        assert type(cr.jvp(f, [1.0], [1.0])[1]) is np.ndarray
        assert type(cr.linearize(f, 1.0)[1](1.0)) is np.ndarray
        assert type(cr.jacobian(f)(1.0)) is np.ndarray
        assert type(cr.hvp(f, [1.0], [1.0])) is np.ndarray


def test_what_has_no_derivative_is_refused():
    with pytest.raises(TypeError, match=r"returned NoneType. Is a return missing"):
        cr.grad(lambda x: None)(1.0)
    with pytest.raises(TypeError, match="derivative in one array, not dict"):
        cr.jacobian(lambda p: p["a"] * X)({"a": 1.0})
    with pytest.raises(TypeError, match="derivative of one array, not tuple"):
        cr.jacobian(lambda x: (x, 2 * x))(X)
    with pytest.raises(TypeError, match="derivative of one array, not tuple"):
        cr.hessian(lambda x, y: x * y, argnums=(0, 1))(1.0, 2.0)


def test_gradients_inside_of_a_primitive_are_arrays():
    def cube_root(a):
        x = np.ones_like(a)
        for _ in range(20):
            x = x - (x**3 - a) / np.asarray(cr.elementwise_grad(lambda x: x**3)(x))
        return x

    root = cr.primitive(cube_root)
    cr.define_rule(root, a=lambda g, ans: g / (3 * ans**2))
    cr.check_grads(root, [np.array([2.0, 5.0])])
    np.testing.assert_allclose(cr.hessian(root)(2.0), -2 / 9 * 2 ** (-5 / 3))


@pytest.mark.parametrize("keyword", [False, True])
def test_a_variable_in_another_argument_is_recorded(keyword):
    def f(x, k):
        return np.sum(k * x**2)

    def vector(x, k):
        return k * x[:2] ** 2

    k = Variable(np.array(2.0))
    args, kwargs = ((), {"k": k}) if keyword else ((k,), {})
    made = {
        "grad": cr.grad(f)(X, *args, **kwargs),
        "value_and_grad": cr.value_and_grad(f)(X, *args, **kwargs)[1],
        "elementwise_grad": cr.elementwise_grad(f)(X, *args, **kwargs),
        "reverse": cr.jacobian(vector, mode="reverse")(X, *args, **kwargs)[:, 0],
        "forward": cr.jacobian(vector, mode="forward")(X, *args, **kwargs)[:, 0],
        "hessian": cr.hessian(f)(X, *args, **kwargs)[0],
    }
    expected = dict.fromkeys(made, 2 * X[0]) | {"hessian": 2.0}
    for name, y in made.items():
        y[0].backward()
        np.testing.assert_allclose(k.grad, expected[name], err_msg=name)
        k.reset_grad()


# ---- modules and constants in containers ----------------------------------------------------------------


def test_modules_are_trees_of_their_parameters():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)

    def loss(model, x):
        return np.sum(model(x) ** 2)

    gradient = cr.grad(loss)(model, x)
    loss(model, x).backward()
    assert gradient.keys() == model.state_dict().keys()
    for name, parameter in model.named_parameters():
        assert type(gradient[name]) is np.ndarray
        np.testing.assert_allclose(parameter.grad, gradient[name], rtol=1e-5)
    ones = tree_map(np.ones_like, gradient)
    y, pull = cr.vjp(lambda model: model(x), model)
    _, tangent = cr.jvp(lambda model: model(x), [model], [ones])
    np.testing.assert_allclose(np.sum(tangent), sum(np.sum(g) for g in pull(np.ones_like(y))[0].values()), rtol=1e-4)
    product = cr.hvp(loss, [model, x], [ones, np.zeros_like(x)])

    def moved(step):
        changed = {name: cr.Parameter(p.data + np.float32(step)) for name, p in model.named_parameters()}
        return cr.grad(loss)(model.with_parameters(changed), x)

    up, down = moved(1e-2), moved(-1e-2)
    for name in gradient:
        np.testing.assert_allclose(product[name], (up[name] - down[name]) / 2e-2, rtol=2e-2, atol=2e-2)
    model[0].weight.requires_grad = False
    assert "0.weight" not in cr.grad(loss)(model, x)


def test_constants_in_containers():
    def f(p):
        return p["activation"](p["w"]) * (1 if p["flag"] else 2), p["name"]

    given = {"w": 0.5, "name": "a", "flag": True, "nothing": None, "activation": np.tanh}
    (value, name), gradient = cr.value_and_grad(f, has_aux=True)(given)
    assert name == "a"
    np.testing.assert_allclose(value, np.tanh(0.5))
    np.testing.assert_allclose(gradient.pop("w"), 1 - np.tanh(0.5) ** 2)
    assert gradient == {"name": None, "flag": None, "nothing": None, "activation": None}
    assert leaves([None, "a", 1, (2.0, [True])]) == [1, 2.0]


def test_a_long_record_is_seldom_searched_for_cycles_and_the_search_is_as_before_afterwards():
    before, inside = gc.get_threshold(), []

    def f(x):
        inside.append(gc.get_threshold()[0])
        return np.sum(x**2)

    cr.grad(lambda x: np.sum(cr.grad(f)(x)))(np.ones(2))
    assert inside == [50_000]
    assert gc.get_threshold() == before
    with pytest.raises(ZeroDivisionError):
        cr.grad(lambda x: 1 // 0)(np.ones(2))
    assert gc.get_threshold() == before
    try:
        gc.set_threshold(0)  # turned off: it stays so
        cr.grad(f)(np.ones(2))
        assert inside[-1] == gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)
