"""Datasets and loaders."""

from .collate import collate
from .dataset import Dataset, Subset, TensorDataset, random_split
from .fashion import FashionMNIST, fashion_mnist
from .idx import read_idx, write_idx
from .images import ImageDataset
from .loader import DataLoader

__all__ = [
    "DataLoader",
    "Dataset",
    "FashionMNIST",
    "ImageDataset",
    "Subset",
    "TensorDataset",
    "collate",
    "fashion_mnist",
    "random_split",
    "read_idx",
    "write_idx",
]
