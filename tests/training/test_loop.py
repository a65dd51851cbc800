"""The training loop: rates by hand, micro-batches, resuming bit for bit, and what a diverged training leaves."""

import json
import math
import os
import signal
from dataclasses import replace

import pytest
import torch
from oracle import close, settings_of, small, small_snn
from torch.nn import functional as F

from lasnn.console import Console
from lasnn.datasets.batches import Images
from lasnn.errors import InputError
from lasnn.networks.layers import Dropout
from lasnn.spiking.encoders import batch_noise, poisson
from lasnn.spiking.neurons import Dynamics
from lasnn.stopping import Stopped, listening
from lasnn.storage import checkpoint
from lasnn.training.loop import Job, Moment, fit, learning_rate, optimizer
from lasnn.training.resume import Saves

STEPS = 6


def recipe(**update):
    plain = {"batch": 4, "epochs": 4, "lr": 0.01, "schedule": "steps", "optimizer": "sgd", "milestones": (0.5,)}
    return settings_of("hybrid").training.model_copy(update=plain | update)


def pictures(count=10):
    draws = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (count, 3, 8, 8), generator=draws, dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % 4, torch.arange(count))


def job(folder, tag="tag", micro_batch=4, seed=0, **update):
    data = settings_of("hybrid").data.model_copy(update={"crop_padding": 1, "flip": True})
    return Job(recipe(**update), data, seed, micro_batch, Saves(folder, tag, Console()))


def ann_losses(net):
    return lambda part, moment: {"ce": F.cross_entropy(net(part.batch.x[None]).logits, part.batch.labels)}


def snn_losses(net):
    def losses(part, moment):
        noise = batch_noise(moment.draws("encoder"), part.start, part.whole)
        x = poisson(part.batch.x, STEPS, noise).to(net.readout.weight.dtype)
        return {"ce": F.cross_entropy(net(x).logits, part.batch.labels)}

    return losses


def student():
    """With dropout after its first and last layers, and non-zero rates everywhere."""
    net = small_snn("vgg5", Dynamics(0.5), threshold=0.125)
    assert sum(module.rate > 0 for module in net.modules() if isinstance(module, Dropout)) == 3
    return net


def interrupt(count, what=KeyboardInterrupt):
    """A callback that raises when it is called for the `count`-th time."""
    calls = []

    def called(*arguments):
        calls.append(arguments)
        if len(calls) == count:
            raise what
        return {}

    return called


def same(net, other):
    return all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))


def position(folder):
    return checkpoint.read_sealed(folder / "resume.pt")["position"]


# ---- the learning rate -----------------------------------------------------------------------------------------------


def rates(**update):
    made = recipe(lr=0.1, **update)
    return [learning_rate(made, epoch) for epoch in range(made.epochs)]


def test_steps_by_hand():
    found = rates(epochs=10, milestones=(0.6, 0.8, 0.9), decay=0.1)
    assert found == pytest.approx([0.1] * 6 + [0.01] * 2 + [0.001] + [0.0001])


def test_steps_of_the_paper():
    found = rates(epochs=100, milestones=(0.6, 0.8, 0.9), decay=0.1)
    cuts = [epoch for epoch in range(1, 100) if found[epoch] < found[epoch - 1]]
    assert cuts == [60, 80, 90]
    assert found[-1] == pytest.approx(0.0001)


def test_cosine_by_hand():
    expected = [0.1, 0.05 * (1 + math.sqrt(0.5)), 0.05, 0.05 * (1 - math.sqrt(0.5))]
    assert rates(epochs=4, schedule="cosine") == pytest.approx(expected)


def test_warmup_by_hand():
    assert rates(epochs=5, warmup_epochs=3, milestones=(0.8,), decay=0.5) == pytest.approx(
        [0.025, 0.05, 0.075, 0.1, 0.05]
    )


def test_the_rate_of_each_epoch_is_the_one_in_the_journal(tmp_path):
    net = small("conv3fc2")
    journal = fit(net, ann_losses(net), pictures(), job(tmp_path, decay=0.5))
    assert [line["lr"] for line in journal.lines] == [0.01, 0.01, 0.005, 0.005]
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == journal.lines


def test_optimizers():
    net = small("conv3fc2")
    assert type(optimizer(net, recipe())) is torch.optim.SGD
    assert type(optimizer(net, recipe(optimizer="adam"))) is torch.optim.Adam
    assert type(optimizer(net, recipe(optimizer="adam", wd_mode="decoupled"))) is torch.optim.AdamW


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_weight_decay_is_added_to_the_gradient(name, tmp_path):
    """Without a gradient of the loss, SGD takes w to w (1 - lr wd), Adam moves every weight by lr towards zero."""
    net = small("conv3fc2")
    before = net.readout.weight.detach().clone()
    losses = lambda part, moment: {"none": 0 * net.readout.weight.sum()}  # noqa: E731
    fit(net, losses, pictures(4), job(tmp_path, optimizer=name, epochs=1, weight_decay=0.5, milestones=(0.9,)))
    expected = before * (1 - 0.01 * 0.5) if name == "sgd" else before - 0.01 * before.sign()
    assert torch.allclose(net.readout.weight, expected, rtol=1e-4, atol=1e-6)


# ---- micro-batches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [8, 7])
def test_gradients_of_micro_batches_add_up(tmp_path, count):
    """One update, in float64, with dropout and encoder noise; seven images leave a smaller last part."""
    gradients = {}
    for micro in (8, 4, 3, 1):
        net = student().double()
        journal = fit(
            net, snn_losses(net), pictures(count), job(tmp_path / str(micro), batch=8, epochs=1, micro_batch=micro)
        )
        gradients[micro] = [parameter.grad for parameter in net.parameters()], journal.lines[0]
    whole, entry = gradients[8]
    for parts, line in gradients.values():
        assert all(close(ours, theirs, 1e-11) for ours, theirs in zip(parts, whole, strict=True))
        assert line["ce"] == pytest.approx(entry["ce"], rel=1e-12)
        assert line["gradient_norm"] == pytest.approx(entry["gradient_norm"], rel=1e-10)


def test_the_journal_holds_means_over_images(tmp_path):
    """Ten images in batches of 4, 4 and 2: each counts once."""
    net = small("conv3fc2")
    losses = lambda part, moment: {  # noqa: E731
        "label": part.batch.labels.double().mean() + 0 * net.readout.weight.sum(),
        "one": torch.tensor(1.0),
    }
    (line,) = fit(net, losses, pictures(), job(tmp_path, epochs=1, micro_batch=3), lambda epoch: {"seen": epoch}).lines
    assert line["label"] == pytest.approx((torch.arange(10) % 4).double().mean().item())
    assert (line["one"], line["epoch"], line["seen"]) == (1.0, 1, 0)
    assert line["loss"] == pytest.approx(line["label"] + 1)


def test_clipping(tmp_path):
    net = student()
    fit(net, snn_losses(net), pictures(4), job(tmp_path, epochs=1, clip_norm=1e-3))
    total = torch.stack([parameter.grad.norm() for parameter in net.parameters()]).norm()
    assert total.item() == pytest.approx(1e-3, rel=1e-3)


# ---- resuming --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["losses", "watch"])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, capsys, name, where):
    """Three batches an epoch: the fifth call of the loss lies in epoch 2, as does the second look."""

    def train(folder, stop_in_losses=None, stop_in_watch=None):
        net = student()
        plain = snn_losses(net)

        def losses(part, moment):
            if stop_in_losses:
                stop_in_losses()
            return plain(part, moment)

        return net, lambda: fit(net, losses, pictures(), job(folder, optimizer=name), stop_in_watch)

    whole, run = train(tmp_path / "whole")
    expected = run()
    start = student()
    assert not same(whole, start)

    _, run = train(tmp_path / "cut", **{f"stop_in_{where}": interrupt(5 if where == "losses" else 2)})
    with pytest.raises(KeyboardInterrupt):
        run()
    assert position(tmp_path / "cut")["epochs"] == 1
    resumed, run = train(tmp_path / "cut")
    found = run()
    assert "goes on after epoch 1" in capsys.readouterr().err
    assert same(resumed, whole)
    for line, other in zip(found.lines, expected.lines, strict=True):
        assert {**line, "seconds": 0} == {**other, "seconds": 0}


def test_a_finished_training_resumes_to_itself(tmp_path):
    net, other = student(), student()
    fit(net, snn_losses(net), pictures(), job(tmp_path))
    journal = fit(other, lambda part, moment: pytest.fail("trained again"), pictures(), job(tmp_path))
    assert same(net, other)
    assert [line["epoch"] for line in journal.lines] == [1, 2, 3, 4]


def test_no_epochs_leave_the_weights(tmp_path):
    net = student()
    assert fit(net, snn_losses(net), pictures(), job(tmp_path, epochs=0)).lines == []
    assert same(net, student())


@pytest.mark.parametrize("damage", ["tag", "bytes"])
def test_a_resume_file_of_something_else_is_not_taken_up(tmp_path, capsys, damage):
    net = student()
    fit(net, snn_losses(net), pictures(), job(tmp_path / "a", tag="other" if damage == "tag" else "tag", lr=0.1))
    if damage == "bytes":
        path = tmp_path / "a" / "resume.pt"
        path.write_bytes(path.read_bytes()[:1000])
    capsys.readouterr()
    found, fresh = student(), student()
    journal = fit(found, snn_losses(found), pictures(), job(tmp_path / "a"))
    said = capsys.readouterr().err
    assert "warning: starts anew" in said
    assert ("belongs to other settings" if damage == "tag" else "is damaged") in said
    fit(fresh, snn_losses(fresh), pictures(), job(tmp_path / "b"))
    assert same(found, fresh)
    assert [line["epoch"] for line in journal.lines] == [1, 2, 3, 4]


@pytest.mark.parametrize("batch", range(1, 10))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_first_within_the_epoch_and_ends_in_the_same_bits(tmp_path, whole, number, batch):
    """The signal comes in the middle of a batch (three an epoch); the batch is finished and counts."""
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
    resumed = student()
    found = fit(resumed, snn_losses(resumed), pictures(), job(tmp_path, epochs=3), lambda epoch: {})
    assert same(resumed, whole[0])
    assert without_clock(found) == without_clock(whole[1])


def without_clock(journal):
    return [{**line, "seconds": 0} for line in journal.lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    net = student()
    return net, fit(net, snn_losses(net), pictures(), job(tmp_path_factory.mktemp("whole"), epochs=3))


def test_a_signal_during_the_look_keeps_the_epochs_batches(tmp_path, whole):
    net = student()
    with pytest.raises(Stopped, match="saved after batch 3 of epoch 2"), listening():
        fit(net, snn_losses(net), pictures(), job(tmp_path, epochs=3), lambda e: (e and os.kill(os.getpid(), 15)) or {})
    resumed = student()
    found = fit(resumed, snn_losses(resumed), pictures(), job(tmp_path, epochs=3))
    assert same(resumed, whole[0])
    assert without_clock(found) == without_clock(whole[1])


def test_a_training_is_saved_within_a_long_epoch(tmp_path, whole):
    """Saved every 0 minutes: after every batch; killed in batch 2 of epoch 2, it goes on after batch 1."""
    net = student()
    plain, calls = snn_losses(net), interrupt(5)
    made = job(tmp_path, epochs=3)
    often = replace(made, saves=replace(made.saves, minutes=0.0))
    with pytest.raises(KeyboardInterrupt):
        fit(net, lambda part, moment: (calls(), plain(part, moment))[1], pictures(), often)
    assert (position(tmp_path)["epochs"], position(tmp_path)["batches"]) == (1, 1)
    resumed = student()
    found = fit(resumed, snn_losses(resumed), pictures(), often)
    assert same(resumed, whole[0])
    assert without_clock(found) == without_clock(whole[1])


def test_the_journal_is_the_resume_files_and_not_what_somebody_wrote_there(tmp_path):
    net, fresh = student(), student()
    fit(net, snn_losses(net), pictures(), job(tmp_path, epochs=4))
    expected = (tmp_path / "log.jsonl").read_bytes()
    (tmp_path / "log.jsonl").write_text('{"test_accuracy": 100.0}\n' * 9)
    fit(fresh, snn_losses(fresh), pictures(), job(tmp_path, epochs=4))
    assert (tmp_path / "log.jsonl").read_bytes() == expected


@pytest.mark.parametrize("epochs", [1, 2])
def test_weights_that_are_not_finite_are_never_saved(tmp_path, epochs):
    """A weight becomes infinite after the last batch of an epoch whose losses and gradients were all finite."""
    net = student()
    plain = snn_losses(net)

    def look(epoch):
        if epoch == epochs - 1:
            with torch.no_grad():
                net.readout.weight[0, 0] = math.inf
        return {}

    with pytest.raises(InputError, match=rf"diverged by the end of epoch {epochs}: readout.weight .* try a lower lr"):
        fit(net, plain, pictures(), job(tmp_path, epochs=epochs), look)
    if epochs == 1:
        assert not (tmp_path / "resume.pt").exists()
    else:
        assert position(tmp_path)["epochs"] == 1


def test_a_huge_rate_stops_the_training_before_it_is_saved(tmp_path):
    net = student()
    with pytest.raises(InputError, match=r"diverged .*last good state is kept; try a lower lr"):
        fit(net, snn_losses(net), pictures(), job(tmp_path, lr=1e38, milestones=(0.9,)))
    assert not (tmp_path / "resume.pt").exists()


def test_dead_and_saturated_layers_are_named_once_with_their_epoch(tmp_path, capsys):
    rates = [{"c1": 0.2, "c2": 0.0}, {"c1": 0.96, "c2": 0.0}, {"c1": 0.97, "c2": 0.1}, {"c1": 0.5, "c2": 0.0}]
    net = student()
    fit(net, snn_losses(net), pictures(), job(tmp_path), lambda epoch: {"rates": rates[epoch]})
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert [line.split(":")[1].strip() for line in warned] == [
        "layer c2 is dead after epoch 1",
        "layer c1 is saturated after epoch 2",
        "layer c2 is dead after epoch 4",
    ]
    again = student()
    fit(again, snn_losses(again), pictures(), job(tmp_path), lambda epoch: {})
    assert "warning" not in capsys.readouterr().err


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

    resumed, whole = student(), student()
    fit(resumed, snn_losses(resumed), pictures(), job(tmp_path))
    fit(whole, snn_losses(whole), pictures(), job(tmp_path / "whole"))
    assert same(resumed, whole)


# ---- draws -----------------------------------------------------------------------------------------------------------


def test_draws_are_keyed_by_seed_epoch_batch_and_purpose():
    moments = [Moment(seed, epoch, batch, 0.0) for seed in (0, 1) for epoch in (0, 1) for batch in (0, 1)]
    first = [torch.rand(3, generator=m.draws(purpose)).tolist() for m in moments for purpose in ("encoder", "dropout")]
    again = [torch.rand(3, generator=m.draws(purpose)).tolist() for m in moments for purpose in ("encoder", "dropout")]
    assert first == again
    assert len({tuple(numbers) for numbers in first}) == 16
    assert Moment(0, 0, 0, 0.5).draws("encoder").initial_seed() == moments[0].draws("encoder").initial_seed()


def test_switching_the_teacher_on_changes_no_draw(tmp_path):
    """Images, encoder draws and masks of each batch are the same whatever the loss computes beside them."""
    seen = {}
    for extra in (False, True):
        net, lines = student(), []
        plain = snn_losses(net)

        def losses(part, moment, extra=extra, lines=lines, plain=plain):
            if extra:
                torch.rand(7)  # another consumer of torch's own generator
                moment.draws("teacher").initial_seed()
            lines.append((part.batch.x.clone(), part.batch.labels, plain(part, moment)["ce"].item()))
            return {"ce": 0 * next(iter(net.parameters())).sum()}  # noqa: B023 -- called within this turn

        fit(net, losses, pictures(), job(tmp_path / str(extra), weight_decay=0.0))
        seen[extra] = lines
    assert len(seen[True]) == len(seen[False]) == 12
    for (x, labels, loss), (x2, labels2, loss2) in zip(seen[True], seen[False], strict=True):
        assert torch.equal(x, x2)
        assert torch.equal(labels, labels2)
        assert loss == loss2
    assert len({loss for *_, loss in seen[True]}) == 12


def test_another_seed_is_another_training(tmp_path):
    first, second = student(), student()
    made = job(tmp_path / "0")
    fit(first, snn_losses(first), pictures(), made)
    fit(second, snn_losses(second), pictures(), replace(made, seed=1, saves=replace(made.saves, folder=tmp_path / "1")))
    assert not same(first, second)
