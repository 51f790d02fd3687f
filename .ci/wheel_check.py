"""Run by ``make wheel`` with the installed wheel and its dependencies alone."""

import numpy as np

import chainrule as cr

assert "site-packages" in cr.__file__, cr.__file__
x = cr.Variable(np.array([0.5, 1.0]))
np.sum(np.sin(x)).backward()
np.testing.assert_allclose(x.grad, np.cos(x.data))

cr.manual_seed(0)
model = cr.nn.Sequential(cr.nn.Linear(2, 8), cr.nn.Tanh(), cr.nn.Linear(8, 1))
optimizer = cr.optim.Adam(model.parameters(), lr=0.02)
inputs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
targets = np.array([[0], [1], [1], [0]], np.float32)
for _ in range(300):
    optimizer.zero_grad()
    loss = cr.functional.mse_loss(model(inputs), targets)
    loss.backward()
    optimizer.step()
assert float(loss) < 0.05, float(loss)

try:
    cr.save(model.state_dict(), "unused.safetensors")
except ImportError as error:
    assert "pip install" in str(error)
else:
    raise AssertionError("safetensors is not a dependency, so saving must say how to install it")
print("1 passed, 0 failed")
