"""Datasets, samplers, loaders, transforms, and the data sets that examples use."""

from . import transforms
from .collate import collate
from .dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from .digits import Digits, digits
from .fashion import FashionMNIST, fashion_mnist
from .folder import ImageFolder
from .idx import read_idx, write_idx
from .images import ImageDataset
from .loader import DataLoader
from .memory import open_array, write_array
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .shakespeare import Shakespeare, shakespeare
from .table import TableDataset
from .text import BytePairTokenizer, CharacterTokenizer, TokenWindows

__all__ = [
    "BatchSampler",
    "BytePairTokenizer",
    "CharacterTokenizer",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageDataset",
    "ImageFolder",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Shakespeare",
    "Subset",
    "SubsetRandomSampler",
    "TableDataset",
    "TensorDataset",
    "TokenWindows",
    "WeightedRandomSampler",
    "collate",
    "digits",
    "fashion_mnist",
    "open_array",
    "random_split",
    "read_idx",
    "shakespeare",
    "transforms",
    "write_array",
    "write_idx",
]
