"""A training that was interrupted goes on bit for bit; one that diverged leaves its last good state."""

import math
import os
import signal
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from oracle import settings_of
from trainings import goes_on_to, interrupt, job, pictures, position, same, snn_losses, student

from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.plan.runs import SnnRun
from lasnn.stopping import Stopped, listening
from lasnn.storage import checkpoint
from lasnn.training.loop import fit
from lasnn.training.reading import _tag
from lasnn.training.resume import Parts, Saves


def trained(folder, **update):
    """A network and the log of its training, which nothing disturbed."""
    net = student()
    return net, fit(net, snn_losses(net), pictures(), job(folder, **update))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("whole"), epochs=3)


@pytest.mark.parametrize("where", ["losses", "watch", "within an epoch"])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, capsys, name, where):
    """Three batches an epoch: the fifth call of the loss lies in epoch 2, as does the second look.

    Saved every 0 minutes, after every batch, it goes on after batch 1 of that epoch.
    """
    whole, net, stop = trained(tmp_path / "whole", optimizer=name), student(), interrupt(2 if where == "watch" else 5)
    assert not same(whole[0], net)
    made, plain = job(tmp_path / "cut", optimizer=name), snn_losses(net)
    if where == "within an epoch":
        made = replace(made, saves=replace(made.saves, minutes=0.0))
    losses = plain if where == "watch" else lambda part, moment: (stop(), plain(part, moment))[1]
    with pytest.raises(KeyboardInterrupt):
        fit(net, losses, pictures(), made, stop if where == "watch" else None)
    assert position(tmp_path / "cut")["epochs"] == 1
    assert where != "within an epoch" or position(tmp_path / "cut")["batches"] == 1
    assert goes_on_to(whole, made)
    after = "batch 1 of epoch 2" if where == "within an epoch" else "epoch 1"
    assert f"goes on after {after}" in capsys.readouterr().err


def test_the_seconds_of_an_interrupted_process_count(tmp_path):
    """Saved after each batch; the third of an epoch fails after 0.4 s of two others; the rest takes less than that."""
    made = job(tmp_path, epochs=1)
    often = replace(made, saves=replace(made.saves, minutes=0.0))
    net, calls = student(), interrupt(3)

    def losses(part, moment, pause):
        time.sleep(pause)
        return {"none": 0 * net.readout.weight.sum()}

    with pytest.raises(KeyboardInterrupt):
        fit(net, lambda part, moment: (calls(), losses(part, moment, 0.2))[1], pictures(), often)
    (line,) = fit(net, lambda part, moment: losses(part, moment, 0), pictures(), often)
    assert line["seconds"] > 0.4


@pytest.mark.parametrize(("tag", "value"), [("one", 1), ("other", 2)])
def test_finished_parts_are_taken_up_by_the_run_that_left_them_alone(tmp_path, tag, value):
    """Parts of other settings, parents or images are made anew."""
    assert Parts(Saves(tmp_path, "one", Console())).made("x", lambda: 1) == 1
    assert Parts(Saves(tmp_path, tag, Console())).made("x", lambda: 2) == value


CHANGES = {
    "run": {"run": SnnRun("digits", "vgg5", "hybrid", "poisson", 4, seed=1)},
    "settings": {"settings": settings_of("hybrid", spiking={"leak": 0.5})},
    "parents": {"parents": {"ann/x": "1" * 64}},
    "images": {"prepared": SimpleNamespace(digest="1" * 64)},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_resume_state_belongs_to_run_settings_parents_and_images(what):
    """Its tag is another one where any of them is."""
    same = {
        "run": SnnRun("digits", "vgg5", "hybrid", "poisson", 4),
        "settings": settings_of("hybrid"),
        "parents": {"ann/x": "0" * 64},
        "prepared": SimpleNamespace(digest="0" * 64),
        "device": torch.device("cpu"),
    }
    assert _tag(**same) == _tag(**same)
    assert _tag(**same | CHANGES[what]) != _tag(**same)


def test_a_finished_training_resumes_to_itself(tmp_path):
    """The log is that of the resume file and not what somebody wrote there. No epochs leave the weights."""
    net, _ = trained(tmp_path / "a")
    written = (tmp_path / "a" / "log.jsonl").read_bytes()
    (tmp_path / "a" / "log.jsonl").write_text('{"test_accuracy": 100.0}\n' * 9)
    other = student()
    log = fit(other, lambda part, moment: pytest.fail("trained again"), pictures(), job(tmp_path / "a"))
    assert same(net, other)
    assert [line["epoch"] for line in log] == [1, 2, 3, 4]
    assert (tmp_path / "a" / "log.jsonl").read_bytes() == written
    net, log = trained(tmp_path / "b", epochs=0)
    assert log == []
    assert same(net, student())


@pytest.mark.parametrize("damage", ["tag", "bytes"])
def test_a_resume_file_of_something_else_is_not_taken_up(tmp_path, capsys, damage):
    trained(tmp_path / "a", tag="other" if damage == "tag" else "tag", lr=0.1)
    if damage == "bytes":
        path = tmp_path / "a" / "resume.pt"
        path.write_bytes(path.read_bytes()[:1000])
    capsys.readouterr()
    found, log = trained(tmp_path / "a")
    said = capsys.readouterr().err
    assert "warning: starts anew" in said
    assert ("belongs to other settings" if damage == "tag" else "is damaged") in said
    assert same(found, trained(tmp_path / "b")[0])
    assert [line["epoch"] for line in log] == [1, 2, 3, 4]


@pytest.mark.parametrize("batch", range(1, 10))
def test_a_signal_saves_first_within_the_epoch_and_ends_in_the_same_bits(tmp_path, whole, batch):
    """The signal comes in the middle of a batch (three an epoch); the batch is finished and counts."""
    number = (signal.SIGTERM, signal.SIGINT)[batch % 2]
    net, calls = student(), []
    plain = snn_losses(net)

    def losses(part, moment):
        calls.append(moment)
        if len(calls) == batch:
            os.kill(os.getpid(), number)
        return plain(part, moment)

    with pytest.raises(Stopped, match=f"stopped by {number.name}; saved after"), listening():
        fit(net, losses, pictures(), job(tmp_path, epochs=3), lambda epoch: {})
    assert len(calls) == batch
    assert (position(tmp_path)["epochs"], position(tmp_path)["batches"]) in (
        divmod(batch, 3),
        (batch // 3 - 1, 3),  # before the look at the end of the epoch
    )
    assert goes_on_to(whole, job(tmp_path, epochs=3), lambda epoch: {})


def test_a_signal_during_the_look_keeps_the_epochs_batches(tmp_path, whole):
    net = student()
    with pytest.raises(Stopped, match="saved after batch 3 of epoch 2"), listening():
        fit(net, snn_losses(net), pictures(), job(tmp_path, epochs=3), lambda e: (e and os.kill(os.getpid(), 15)) or {})
    assert goes_on_to(whole, job(tmp_path, epochs=3))


@pytest.mark.parametrize("epochs", [1, 2])
def test_weights_that_are_not_finite_are_never_saved(tmp_path, epochs):
    """A weight becomes infinite after the last batch of an epoch whose losses and gradients were all finite."""
    net = student()

    def look(epoch):
        if epoch == epochs - 1:
            with torch.no_grad():
                net.readout.weight[0, 0] = math.inf
        return {}

    with pytest.raises(InputError, match=rf"diverged by the end of epoch {epochs}: readout.weight .* try a lower lr"):
        fit(net, snn_losses(net), pictures(), job(tmp_path, epochs=epochs), look)
    assert (tmp_path / "resume.pt").exists() == (epochs == 2)
    assert epochs == 1 or position(tmp_path)["epochs"] == 1


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_training_that_diverges_keeps_the_last_good_epoch(tmp_path, bad):
    """From the second epoch on the loss is not finite, or is finite with a gradient that is not."""
    net = student()
    plain = snn_losses(net)

    def losses(part, moment):
        terms = plain(part, moment)
        if moment.epoch == 1 and moment.batch == 2:
            zero = 0 * net.readout.weight.sum()
            terms["bad"] = zero * math.nan if bad == "loss" else zero.abs().sqrt()
        return terms

    with pytest.raises(InputError, match=r"diverged in epoch 2, batch 3.*last good state is kept"):
        fit(net, losses, pictures(), job(tmp_path))
    state = checkpoint.read_sealed(tmp_path / "resume.pt")
    assert state["position"]["epochs"] == 1
    assert all(value.isfinite().all() for value in state["weights"].values())
    assert goes_on_to(trained(tmp_path / "whole"), job(tmp_path))
