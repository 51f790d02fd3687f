"""Make the subset of Fashion-MNIST in this folder's data/: the first images of each class, in their order.

python examples/make_fashion_mnist_subset.py /usr/share/datasets/fashion-mnist
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from chainrule.data import fashion_mnist, write_idx

PER_CLASS = {"train": 1000, "t10k": 200}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with the four files of the full data set")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data" / "fashion-mnist-subset")
    args = parser.parse_args()

    full = fashion_mnist(args.source)
    args.out.mkdir(parents=True, exist_ok=True)
    for part, dataset in (("train", full.train), ("t10k", full.test)):
        labels = dataset.labels
        first = [np.flatnonzero(labels == label)[: PER_CLASS[part]] for label in range(len(full.classes))]
        chosen = np.sort(np.concatenate(first))
        write_idx(args.out / f"{part}-images-idx3-ubyte.gz", dataset.images[chosen, 0])
        write_idx(args.out / f"{part}-labels-idx1-ubyte.gz", labels[chosen].astype(np.uint8))
        print(f"{part}: {len(chosen)} of {len(labels)} images")


if __name__ == "__main__":
    main()
