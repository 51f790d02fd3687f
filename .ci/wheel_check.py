"""Run by ``make wheel`` with the installed wheel and its dependencies alone."""

from tempfile import TemporaryDirectory

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

with TemporaryDirectory() as folder:
    cr.save(model.state_dict(), f"{folder}/model.safetensors")
    model.load_state_dict(cr.load(f"{folder}/model.safetensors"))
print("1 passed, 0 failed")
