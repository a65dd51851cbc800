"""A run that is told to stop goes on from what it saved, to the same bytes; a second writer is refused."""

import os
import re
import signal
import subprocess
import sys

import pytest
from chains import ANN, CALIBRATED, CONVERTED, FEATURES, HASHED, LASNN, TEACHER, Tiny

from lasnn import stopping
from lasnn.pipeline.freshness import drop_resume_states
from lasnn.plan.config import read
from lasnn.results.fits import RUN_FILES
from lasnn.stopping import Stopped, held, listening, told
from lasnn.storage import checkpoint, files
from lasnn.storage.locks import only_writer


def struck_after_the_first_save(monkeypatch, strike):
    real, calls = checkpoint.write_sealed, []

    def saved(file, state):
        real(file, state)
        calls.append(file)
        if len(calls) == 1:
            strike()

    monkeypatch.setattr(checkpoint, "write_sealed", saved)


@pytest.mark.parametrize(
    ("path", "parents", "number"),
    [
        (ANN, [], signal.SIGTERM),
        (TEACHER, [], signal.SIGINT),
        (CONVERTED, [ANN], signal.SIGINT),
        (LASNN, [TEACHER, ANN, CONVERTED], signal.SIGTERM),
        (FEATURES, [TEACHER, ANN, CONVERTED], signal.SIGINT),
        (CALIBRATED, [ANN], signal.SIGTERM),
    ],
)
def test_an_interrupted_run_ends_in_the_same_bytes(chain, place, monkeypatch, capsys, path, parents, number):
    """The signal comes right after the first save: an epoch, the balancing of a conversion, a calibrated layer."""
    place.take(chain, *parents)
    struck_after_the_first_save(monkeypatch, lambda: os.kill(os.getpid(), number))
    capsys.readouterr()
    assert place(path.split("/")[0], str(place.folder(path))) == 128 + number
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert f"stopped by {number.name}; " in line
    assert {entry.name for entry in place.folder(path).iterdir()} - {"log.jsonl"} == {"resume.pt"}
    monkeypatch.undo()
    place.run(path)
    kept = {CONVERTED: "balancing: done before", CALIBRATED: "weights of c1: done before"}
    assert kept.get(path, "goes on after epoch 1") in capsys.readouterr().err
    for name in HASHED:
        assert files.sha256(place.folder(path) / name) == files.sha256(chain.folder(path) / name)


def test_a_second_writer_of_a_run_or_dataset_is_refused_and_changes_nothing(place, tmp_path, capsys):
    place.folder(ANN).mkdir(parents=True)
    (tmp_path / "bare").mkdir()
    bare = Tiny(tmp_path / "bare" / "data", tmp_path / "bare")
    for made, words, lock, what in (
        (place, ["ann", str(place.folder(ANN))], place.folder(ANN) / ".lock", f"the run {ANN}"),
        (bare, ["data", "digits"], bare.data / ".digits.npz.lock", "dataset 'digits'"),
    ):
        with only_writer(lock, "it"):
            assert made(*words) == 2
        *before, line = capsys.readouterr().err.splitlines()
        assert before == ([] if made is place else ["preparing digits"])
        assert f"{what} is being made by another process (number {os.getpid()})" in line
        assert list(lock.parent.iterdir()) == []
    assert bare("data", "digits") == 0
    assert [entry.name for entry in bare.data.iterdir()] == ["digits.npz"]


@pytest.mark.parametrize("path", [ANN, CONVERTED])
def test_a_job_of_a_queue_that_counts_as_failed_after_its_end_is_not_made_again(
    chain, place, monkeypatch, capsys, path
):
    """A job that ends just after its limit: Snakemake removes its files, the next attempt has the training still."""
    place.take(chain, *([ANN] if path == CONVERTED else []))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    place.run(path)
    for name in RUN_FILES:
        (place.folder(path) / name).unlink()
    drop_resume_states(read(place.config).preset())  # unfinished: it stays
    capsys.readouterr()
    place.run(path)
    assert re.search(r"goes on after epoch \d+|balancing: done before", capsys.readouterr().err)
    for name in HASHED:
        assert files.sha256(place.folder(path) / name) == files.sha256(chain.folder(path) / name)
    drop_resume_states(read(place.config).preset())
    assert not (place.folder(path) / "resume.pt").exists()


def test_an_urgent_stop_says_that_the_last_save_counts(chain, place, monkeypatch, capsys):
    """A second signal, not of the same request, within the update that follows the first save."""
    monkeypatch.setattr(stopping, "ONE_REQUEST", 0.0)

    def twice():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("went on")

    struck_after_the_first_save(monkeypatch, twice)
    capsys.readouterr()
    assert place("ann", str(place.folder(ANN))) == 128 + signal.SIGTERM
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert line.endswith("error: stopped by SIGTERM; the same command goes on after the last save")
    monkeypatch.undo()
    place.run(ANN)
    assert "goes on after epoch 1" in capsys.readouterr().err
    assert files.sha256(place.folder(ANN) / "model.pt") == files.sha256(chain.folder(ANN) / "model.pt")


# ---- told to stop twice; `python -m tests.faults --twice 51` tries it on real processes ------------------------------


def test_a_truly_second_signal_stops_at_once(monkeypatch):
    """In a block that would finish its batch first; the clock is moved on in place of waiting."""
    clock = [100.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: clock[0])

    def work():
        with held():
            os.kill(os.getpid(), signal.SIGTERM)
            assert told() == signal.SIGTERM
            clock[0] += stopping.ONE_REQUEST - 0.01
            os.kill(os.getpid(), signal.SIGINT)  # of the same request: a terminal and the process that passes it on
            clock[0] += 0.02
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("went on")

    with listening(), pytest.raises(Stopped) as stopped:
        work()
    assert stopped.value.urgent


def test_signals_of_an_earlier_block_do_not_count():
    for _ in range(2):
        with listening(), pytest.raises(Stopped) as stopped:
            os.kill(os.getpid(), signal.SIGTERM)
        assert not stopped.value.urgent


STAGE = """
import os, signal, sys, threading, time
import lasnn.__main__ as m
from lasnn.pipeline import costs
def act(*of):
    print("ready", flush=True)
    time.sleep(60)
costs.print_plan = act
sys.argv = ["lasnn", "plan"]
status = m.main()
print("ended", flush=True)
time.sleep(0.3)  # the interpreter takes its time to end
sys.exit(status)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_after_the_end_leaves_line_and_status(number):
    """The first one ends a process that doesn't train yet at once, the second finds it on its way out."""
    process = subprocess.Popen(
        [sys.executable, "-c", STAGE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    process.stdout.readline()
    process.send_signal(number)
    process.stdout.readline()
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert said == f"error: stopped by {number.name}; the same command begins this step anew\n"
