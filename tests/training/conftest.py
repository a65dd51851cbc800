"""Runs of the tiny chain that the tests of this folder look at; each process makes them once."""

import pytest
from chains import ANN, CALIBRATED, CONVERTED, FEATURES, LASNN, TEACHER, Tiny
from trainings import job, pictures, snn_losses, student

from lasnn.training.loop import fit


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Prepared digits."""
    from lasnn.datasets import prepare

    path = tmp_path_factory.mktemp("data")
    prepare("digits", path / "digits.npz")
    return path


@pytest.fixture
def place(data, tmp_path):
    """Runs verbs of the command line on a tiny configuration in a folder of its own."""
    return Tiny(data, tmp_path)


@pytest.fixture(scope="session")
def chain(data, tmp_path_factory):
    """The whole chain, made once."""
    place = Tiny(data, tmp_path_factory.mktemp("chain"))
    place.run(ANN, TEACHER, CONVERTED, LASNN, FEATURES, CALIBRATED)
    return place


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A training of three epochs that nothing disturbed: its network and its log."""
    net = student()
    return net, fit(net, snn_losses(net), pictures(), job(tmp_path_factory.mktemp("whole"), epochs=3))
