"""A short training with checkpoints, for test_train.py to run in a process of its own, and to kill."""

import hashlib
import sys
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule import nn, optim, train
from chainrule.data import DataLoader, TensorDataset


def main(folder):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 20)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 256), nn.Tanh(), nn.Dropout(0.2), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 2))
    trainer = train.Trainer(
        model,
        optim.Adam(model.parameters(), lr=1e-3),
        nn.CrossEntropyLoss(),
        metrics={"auc": train.metrics.AUC()},
        callbacks=[train.ModelCheckpoint(folder, every_steps=1), train.CSVLogger(f"{folder}/log.csv")],
        progress=False,
    )
    print("begun", flush=True)
    history = trainer.fit(DataLoader(TensorDataset(x, y), 40, shuffle=True), 6, resume=True)
    weights = b"".join(array.tobytes() for array in model.state_dict().values())
    Path(folder, "result.txt").write_text(f"{hashlib.sha256(weights).hexdigest()} {history}")


if __name__ == "__main__":
    main(sys.argv[1])
