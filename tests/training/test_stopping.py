"""Told to stop twice: what a queue sends at a time limit is one request, what comes later is a second one.

`python -m tests.faults --twice 51` tries it on real processes.
"""

import os
import signal
import subprocess
import sys

import pytest

from lasnn import stopping
from lasnn.stopping import Stopped, held, listening, told


def test_a_truly_second_signal_stops_at_once(monkeypatch):
    """In a block that would finish its batch first; the clock is moved on in place of waiting."""
    clock = [100.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: clock[0])

    def work():
        with held():
            os.kill(os.getpid(), signal.SIGTERM)
            assert told() == signal.SIGTERM
            clock[0] += stopping.ONE_REQUEST - 0.01
            os.kill(os.getpid(), signal.SIGINT)  # of the same request: a terminal and whoever passes it on
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
