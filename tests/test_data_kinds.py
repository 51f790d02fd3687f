"""Kinds of data: images in folders and their transforms, text, tables, digits, Shakespeare."""

import pickle

import numpy as np
import pytest

from chainrule.data import (
    BytePairTokenizer,
    CharacterTokenizer,
    DataLoader,
    ImageFolder,
    TableDataset,
    TokenWindows,
    digits,
    shakespeare,
)
from chainrule.data import transforms as T
from chainrule.random import manual_seed

rng = np.random.default_rng(0)


# ---- folders --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / name / "more").mkdir(parents=True)
        for i in range(3):
            pixels = np.full((6, 8, 3), 40 * label + 10 * i, np.uint8)
            pixels[0, 0] = (255, 0, 0)
            image.fromarray(pixels).save(tmp_path / name / ("more" if i == 2 else "") / f"{i}.png")
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    return tmp_path


def test_image_folder(folder):
    data = ImageFolder(folder)
    assert data.classes == ["cat", "dog"] and len(data) == 6 and data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    x, label = data[4]
    assert x.shape == (3, 6, 8) and x.dtype == np.float32 and label == 1
    np.testing.assert_array_equal(x[:, 0, 0], [1, 0, 0])
    np.testing.assert_allclose(x[:, 3, 3] * 255, 50)
    for workers in (0, 2):
        batches = list(DataLoader(data, 4, num_workers=workers))
        assert [x.shape for x, _ in batches] == [(4, 3, 6, 8), (2, 3, 6, 8)]
        assert np.concatenate([y for _, y in batches]).tolist() == data.labels.tolist()
        np.testing.assert_array_equal(batches[1][0][0], x)
    assert ImageFolder(folder, size=(3, 5), mode="L")[0][0].shape == (1, 3, 5)


def test_image_folder_says_what_is_wrong(folder, tmp_path):
    from PIL import Image

    with pytest.raises(FileNotFoundError, match="no folder"):
        ImageFolder(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="folder for each class"):
        ImageFolder(tmp_path / "empty")
    Image.new("RGB", (3, 3)).save(folder / "dog" / "small.png")
    with pytest.raises(ValueError, match="give ImageFolder a size"):
        ImageFolder(folder).batch(slice(None))
    (folder / "cat" / "0.png").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"0\.png: not an image, or damaged"):
        ImageFolder(folder)[0]


# ---- transforms -----------------------------------------------------------------------------------------


IMAGES = rng.random((32, 3, 9, 11)).astype(np.float32)

EVERY = [
    T.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]),
    T.CenterCrop(5),
    T.RandomCrop(7, padding=1),
    T.RandomCrop((9, 5), padding=2, padding_mode="reflect"),
    T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(),
    T.RandomErasing(),
    T.RandomErasing(1.0, value="random"),
    T.RandAugment(),
    T.Compose([T.RandomCrop(9, padding=1), T.RandAugment(3, 20), T.RandomErasing(value=[0.1, 0.2, 0.3])]),
]


@pytest.mark.parametrize("transform", EVERY, ids=lambda t: type(t).__name__)
def test_transforms_keep_dtype_and_leave_their_input_alone(transform):
    before = IMAGES.copy()
    manual_seed(1)
    out = transform(IMAGES)
    assert out.dtype == np.float32 and out.ndim == 4 and len(out) == len(IMAGES) and np.isfinite(out).all()
    np.testing.assert_array_equal(IMAGES, before)
    manual_seed(1)
    np.testing.assert_array_equal(transform(IMAGES), out)
    assert transform(IMAGES[:0]).shape == (0, *out.shape[1:])
    grey = transform.transforms if isinstance(transform, T.Compose) else [transform]
    if not any(isinstance(t, T.Normalize) or getattr(t, "value", None) == [0.1, 0.2, 0.3] for t in grey):
        assert transform(IMAGES[:, :1]).shape == (len(IMAGES), 1, *out.shape[2:])


def test_normalize_crop_flip_and_erase():
    mean, std = IMAGES.mean(axis=(0, 2, 3)), IMAGES.std(axis=(0, 2, 3))
    out = T.Normalize(mean, std)(IMAGES)
    np.testing.assert_allclose(out.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(axis=(0, 2, 3)), 1, atol=1e-5)
    np.testing.assert_array_equal(T.CenterCrop((5, 3))(IMAGES), IMAGES[:, :, 2:7, 4:7])
    np.testing.assert_array_equal(T.RandomHorizontalFlip(1)(IMAGES), IMAGES[..., ::-1])
    np.testing.assert_array_equal(T.RandomVerticalFlip(1)(IMAGES), IMAGES[..., ::-1, :])
    flipped = T.RandomHorizontalFlip()(IMAGES)
    kinds = {
        "same" if (a == b).all() else "flipped" if (a == b[..., ::-1]).all() else "?"
        for a, b in zip(flipped, IMAGES, strict=True)
    }
    assert kinds == {"same", "flipped"}
    places = set()
    for crop, image in zip(T.RandomCrop(4)(IMAGES), IMAGES, strict=True):
        (place,) = [(i, j) for i in range(6) for j in range(8) if (image[:, i : i + 4, j : j + 4] == crop).all()]
        places.add(place)
    assert len(places) > 10
    erased = T.RandomErasing(1.0, value=5.0)(IMAGES) == 5
    share = erased[:, 0].mean(axis=(1, 2))
    assert (erased == erased[:, :1]).all() and (share > 0).all() and (share < 0.5).all()
    rows, columns = erased[:, 0].any(axis=2), erased[:, 0].any(axis=1)
    np.testing.assert_array_equal(erased[:, 0], rows[:, :, None] & columns[:, None, :])


def test_each_operation_of_rand_augment_does_what_it_says():
    zero = np.zeros(len(IMAGES))
    for operation in T._OPERATIONS[:11]:  # of no strength: the identity, up to the levels of posterize
        np.testing.assert_allclose(operation(IMAGES, zero), IMAGES, atol=1 / 255)
    down = T._OPERATIONS[4](IMAGES, np.full(len(IMAGES), 1 / (0.45 * 9)))
    np.testing.assert_allclose(down[:, :, :-1], IMAGES[:, :, 1:], atol=1e-6)
    image = pytest.importorskip("PIL.Image").fromarray((IMAGES[0] * 255).astype(np.uint8).transpose(1, 2, 0))
    from PIL import ImageOps

    ours = np.rint(T._equalize((np.asarray(image).transpose(2, 0, 1) / np.float32(255))[None], zero[:1])[0] * 255)
    assert ours.min() == 0 and ours.max() == 255
    theirs = np.asarray(ImageOps.autocontrast(image)).transpose(2, 0, 1)
    ours = T._autocontrast((np.asarray(image).transpose(2, 0, 1) / np.float32(255))[None], zero[:1])[0] * 255
    assert np.abs(ours - theirs).max() <= 1
    square = np.zeros((1, 1, 9, 9), np.float32)
    square[0, 0, 1, 4] = 1  # above the middle
    turned = T._affine(square, T._maps(1, m00=np.zeros(1), m01=-np.ones(1), m10=np.ones(1), m11=np.zeros(1)))
    assert np.argwhere(turned[0, 0] > 0.99).tolist() in ([[4, 1]], [[4, 7]])


def test_transforms_refuse_what_cannot_be():
    with pytest.raises(ValueError, match=r"crop of \(12, 12\) does not fit into images of \(9, 11\)"):
        T.RandomCrop(12)(IMAGES)
    with pytest.raises(ValueError, match="cannot be 0"):
        T.Normalize([0.5], [0])
    with pytest.raises(ValueError, match="from 0 to 30"):
        T.RandAugment(magnitude=31)


# ---- text -----------------------------------------------------------------------------------------------


def test_characters():
    text = "Zwei Köche, 🍲!"
    tokenizer = CharacterTokenizer("".join(sorted(set(text), reverse=True)))
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64 and ids.max() == len(tokenizer) - 1 and tokenizer.decode(ids) == text
    assert tokenizer.vocabulary[ids[0]] == "Z"
    assert tokenizer.encode("").shape == (0,) and tokenizer.decode([]) == ""
    with pytest.raises(ValueError, match="'x' at position 2 is not in the vocabulary"):
        tokenizer.encode("Zwx")
    with pytest.raises(ValueError, match="not in the vocabulary"):
        CharacterTokenizer("").encode("a")
    with pytest.raises(ValueError, match="each character once"):
        CharacterTokenizer("aba")


def test_byte_pairs(tmp_path):
    pytest.importorskip("tokenizers")
    lines = ["the cat sat on the mat", "the dog sat on the log"] * 10
    tokenizer = BytePairTokenizer.train(lines, 300)
    assert 257 < len(tokenizer) <= 300
    for text in (*lines[:2], "Käse 🧀 never seen"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(lines[0])) < len(lines[0]) / 2
    ids, is_text = tokenizer.batch([lines[0], "the", ""])
    assert ids.shape == is_text.shape and ids.dtype == np.int64 and not ids[~is_text].any() and not is_text[2].any()
    np.testing.assert_array_equal(ids[1][is_text[1]], tokenizer.encode("the"))
    tokenizer.save(tmp_path / "tokenizer.json")
    for again in (BytePairTokenizer(tmp_path / "tokenizer.json"), pickle.loads(pickle.dumps(tokenizer))):
        np.testing.assert_array_equal(again.encode(lines[0]), tokenizer.encode(lines[0]))


def test_token_windows():
    tokens = np.arange(20)
    data = TokenWindows(tokens, 6)
    assert len(data) == 3 and data[-1][1].tolist() == [13, 14, 15, 16, 17, 18]
    dense = TokenWindows(tokens, 6, stride=1)
    assert len(dense) == 14
    for x, y in DataLoader(dense, 4, shuffle=True):
        assert x.shape == y.shape == (len(x), 6)
        np.testing.assert_array_equal(x + 1, y)
    with pytest.raises(ValueError, match="more than length=20"):
        TokenWindows(tokens, 20)


def test_shakespeare(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="gutenberg"):
        shakespeare()
    text = "What's in a name? That which we call a rose"
    (tmp_path / "chainrule").mkdir()
    (tmp_path / "chainrule" / "shakespeare.txt").write_text(text)
    assert shakespeare().train + shakespeare().validation == text
    part = shakespeare(tmp_path / "chainrule" / "shakespeare.txt", validation=0.5)
    assert abs(len(part.train) - len(part.validation)) <= 1 and part.source.name == "shakespeare.txt"


def test_digits():
    pytest.importorskip("sklearn")
    data = digits()
    assert len(data.train) + len(data.test) == 1797
    x, y = next(iter(DataLoader(data.train, 32)))
    assert x.shape == (32, 1, 8, 8) and x.dtype == np.float32 and 0 <= x.min() <= x.max() <= 1 and y.dtype == np.int64
    assert np.bincount(data.test.arrays[1]).min() > 30


# ---- tables ---------------------------------------------------------------------------------------------

COLUMNS = {
    "age": [30, 40, 50],
    "height": [1.5, 1.75, 2.0],
    "pet": ["cat", "dog", "cat"],
    "owner": [True, False, True],
    "class": ["b", "a", "b"],
}


def as_is(columns):
    return columns


def as_pandas(columns):
    return pytest.importorskip("pandas").DataFrame(columns)


def as_polars(columns):
    return pytest.importorskip("polars").DataFrame(columns)


def as_pyarrow(columns):
    return pytest.importorskip("pyarrow").table(columns)


KINDS = [as_is, as_pandas, as_polars, as_pyarrow]


@pytest.mark.parametrize("make", KINDS)
def test_tables(make):
    data = TableDataset(make(COLUMNS), target="class")
    assert data.numeric == ["age", "height"] and data.categorical == ["pet", "owner"]
    numbers, categories, target = data[:]
    np.testing.assert_array_equal(numbers, np.float32([[30, 1.5], [40, 1.75], [50, 2]]))
    assert numbers.dtype == np.float32 and categories.dtype == target.dtype == np.int64
    assert categories.tolist() == [[0, 1], [1, 0], [0, 1]] and target.tolist() == [1, 0, 1]
    assert data.categories == {"pet": ["cat", "dog"], "owner": [False, True], "class": ["a", "b"]}
    later = TableDataset(make({name: values[:1] for name, values in COLUMNS.items()}), target="class", like=data)
    assert [part.tolist() for part in later[:]] == [[[30, 1.5]], [[0, 1]], [1]]
    assert len(TableDataset(make(COLUMNS), columns=["height"])[0]) == 1
    assert TableDataset(make(COLUMNS), "age", ["height"])[:][1].tolist() == [30, 40, 50]
    with pytest.raises(KeyError, match="no column 'weight'; it has 'age'"):
        TableDataset(make(COLUMNS), columns=["weight"])
    with pytest.raises(ValueError, match="'pet': 'bird' is not among its categories"):
        TableDataset(make({**COLUMNS, "pet": ["bird"] * 3}), target="class", like=data)


@pytest.mark.parametrize("make", KINDS)
def test_tables_with_gaps(make):
    table = make({"x": [1.0, None, 3.0], "n": [None, 2, 4], "kind": ["a", None, "b"]})
    with pytest.raises(ValueError, match="column 'x' lacks 1 of 3 numbers, the first in row 1"):
        TableDataset(table, columns=["x"])
    data = TableDataset(table, fill="mean")
    assert data[:][0].tolist() == [[1, 3], [2, 2], [3, 4]]
    assert data.categories == {"kind": ["a", "b", None]} and data[:][1].ravel().tolist() == [0, 2, 1]
    later = TableDataset(make({"x": [None, 1.0], "n": [1, None], "kind": ["b", "a"]}), like=data)
    assert later[:][0].tolist() == [[2, 1], [1, 3]]
    assert TableDataset(table, columns=["x"], fill=-1)[:][0].tolist() == [[1], [-1], [3]]


def test_pandas_categories_and_what_is_no_table():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"size": pandas.Categorical(["S", "L"]), "when": pandas.to_datetime(["2020-01-01", "2021-01-01"])})
    assert TableDataset(frame, columns=["size"]).categories == {"size": ["L", "S"]}
    with pytest.raises(TypeError, match="column 'when' holds datetime"):
        TableDataset(frame)
    with pytest.raises(TypeError, match="not list"):
        TableDataset([1, 2])
