"""Runs of the tiny chain that the tests of this folder look at, made once."""

import pytest
from chains import ANN, CALIBRATED, CONVERTED, FEATURES, LASNN, TEACHER, Tiny

from lasnn.datasets import prepare


@pytest.fixture(scope="session")
def data(once):
    """Prepared digits."""
    return once("data", lambda folder: prepare("digits", folder / "digits.npz"))


@pytest.fixture
def place(data, tmp_path):
    """Runs verbs of the command line on a tiny configuration in a folder of its own."""
    return Tiny(data, tmp_path)


@pytest.fixture(scope="session")
def chain(data, once):
    """The whole chain, made once."""
    paths = (ANN, TEACHER, CONVERTED, LASNN, FEATURES, CALIBRATED)
    return Tiny(data, once("chain", lambda folder: Tiny(data, folder).run(*paths)))
