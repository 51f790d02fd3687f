"""scikit-learn's estimators: its own checks, and pipelines and searches."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import chainrule as cr
from chainrule import nn, optim
from chainrule.sklearn import ChainruleClassifier, ChainruleRegressor

ESTIMATORS = [ChainruleClassifier(), ChainruleRegressor()]


@pytest.mark.parametrize(
    ("estimator", "check"),
    [pair for estimator in ESTIMATORS for pair in estimator_checks_generator(estimator)],
    ids=lambda value: getattr(getattr(value, "func", None), "__name__", type(value).__name__),
)
@pytest.mark.filterwarnings("ignore")
def test_checks_of_scikit_learn(estimator, check):
    from unittest import SkipTest

    try:
        check(estimator)
    except SkipTest as why:  # the check of other libraries' arrays, which SciPy has to be told to allow
        pytest.skip(str(why))


def test_pipeline_grid_search_and_cross_validation():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    pipeline = make_pipeline(StandardScaler(), ChainruleClassifier(epochs=20, random_state=0))
    grid = {"chainruleclassifier__lr": [1e-5, 1e-2], "chainruleclassifier__hidden": [(8,), (16, 16)]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, names)
    assert search.best_score_ > 0.9 and search.best_params_["chainruleclassifier__lr"] == 1e-2
    assert set(search.predict(X)) == set(names)
    np.testing.assert_allclose(search.predict_proba(X).sum(axis=1), 1)
    X, y = load_diabetes(return_X_y=True)
    regressor = make_pipeline(StandardScaler(), ChainruleRegressor(hidden=(16,), epochs=30, random_state=0))
    assert cross_val_score(regressor, X, y, cv=3).mean() > 0.35


class Images(nn.Module):
    def forward(self, x):
        return x.reshape(-1, 1, 8, 8)


def test_a_model_of_ones_own():
    X, y = load_digits(return_X_y=True)

    def convolutional(features, classes):
        return nn.Sequential(
            Images(),
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * 16, classes),
        )

    classifier = ChainruleClassifier(convolutional, optimizer=optim.Adam, lr=0.01, epochs=4, random_state=0)
    assert classifier.fit(X[:1400] / 16, y[:1400]).score(X[1400:] / 16, y[1400:]) > 0.85
    assert isinstance(classifier.module_[1], nn.Conv2d)


def test_fits_repeat_and_leave_the_shared_generator_alone():
    X, y = load_iris(return_X_y=True)
    cr.manual_seed(0)
    expected = cr.random.generator().random()
    cr.manual_seed(0)
    classifier = ChainruleClassifier(epochs=3, random_state=1)
    with cr.no_grad():
        first = classifier.fit(X, y).predict_proba(X)
    assert cr.random.generator().random() == expected
    np.testing.assert_array_equal(clone(classifier).fit(X, y).predict_proba(X), first)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict_proba(X), first)
    assert (clone(classifier).set_params(random_state=2).fit(X, y).predict_proba(X) != first).any()
    with pytest.raises(NotFittedError):
        clone(classifier).predict(X)


def test_early_stopping_and_outputs_of_several_values(capsys):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    Y = np.stack([1000 + 50 * X[:, 0], X[:, 1] - 7, np.full(120, 3.0)], axis=1)
    regressor = ChainruleRegressor(early_stopping=True, patience=3, lr=0.02, epochs=300, random_state=0, verbose=True).fit(X, Y)
    assert regressor.n_iter_ < 300 and "validation loss" in regressor.history_ and "epoch" in capsys.readouterr().out
    found = regressor.predict(X)
    assert found.shape == Y.shape
    for k in range(2):
        assert np.corrcoef(found[:, k], Y[:, k])[0, 1] > 0.95
    assert np.abs(found[:, 2] - 3).max() < 0.5
    with pytest.raises(ValueError, match="none to spare"):
        ChainruleRegressor(early_stopping=True).fit(X[:1], Y[:1])
