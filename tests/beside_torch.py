"""What compares a function or a layer with PyTorch's, for tests of all families."""

import numpy as np

import chainrule as cr

rng = np.random.default_rng(0)


def compare(ours, theirs, *arrays, dtype=np.float64, tolerance=1e-10):
    """Ours on Variables and theirs on tensors, of the same arrays: results, dtypes, and gradients for one random cotangent."""
    import torch

    arrays = [a.astype(dtype) for a in arrays]
    xs = [cr.Variable(a.copy()) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = ours(*xs), theirs(*ts)
    assert y.shape == tuple(t.shape)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.data, t.detach().numpy(), tolerance, tolerance)
    plain = ours(*arrays)
    assert not isinstance(plain, cr.Variable)
    np.testing.assert_allclose(plain, y.data, 4 * np.finfo(dtype).eps)  # x ** 3 of a Variable is two products
    g = rng.standard_normal(y.shape).astype(dtype)
    y.grad = g
    y.backward()
    t.backward(torch.tensor(g))
    for x, u in zip(xs, ts, strict=True):
        if u.grad is None:
            assert x.grad is None
            continue
        assert x.grad.dtype == dtype
        np.testing.assert_allclose(x.grad, u.grad.numpy(), tolerance, tolerance)
