"""One writer at a time: a second one gets one line, a dead one's lock is no obstacle, and a full disk is one line."""

import argparse
import errno
import fcntl
import json
import os
import re
import subprocess
import sys
from unittest.mock import Mock

import pytest
from filelock import FileLock
from tiny import message_of

from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.pipeline import single_instance
from lasnn.storage import locks
from lasnn.storage.locks import only_writer

HOLD = """
import sys, time
from lasnn.storage.locks import only_writer
with only_writer(sys.argv[1], "it"):
    print(flush=True)
    time.sleep(60)
"""


def held(folder, code=HOLD):
    """A process that holds the lock of a folder."""
    process = subprocess.Popen([sys.executable, "-c", code, str(folder / ".lock")], stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def test_a_second_writer_gets_one_line_that_names_the_first_and_takes_over_from_a_dead_one(tmp_path):
    lock, holder = tmp_path / ".lock", held(tmp_path)
    said = message_of(only_writer(lock, "the run x").__enter__)
    assert f"the run x is being made by another process (number {holder.pid}): " in said
    assert lock.exists()  # still the first one's
    holder.kill()
    holder.communicate()
    assert lock.exists()
    with only_writer(lock, "it"):
        assert json.loads(lock.read_text())["process"] == os.getpid()
    assert not lock.exists()


@pytest.mark.parametrize(
    ("job", "host", "said"),
    [
        ("", "elsewhere", r"\(number \d+ on elsewhere\): wait for it, or end it with `kill \d+`"),
        ("42", "node7", r"\(Slurm job 42 on node7\): wait for it, or end it with `scancel 42`"),
    ],
)
def test_a_writer_on_another_machine_is_named_with_it(tmp_path, monkeypatch, job, host, said):
    monkeypatch.setenv("SLURM_JOB_ID", job)
    monkeypatch.setattr(locks.socket, "gethostname", lambda: f"{host}.example.org")
    with only_writer(tmp_path / ".lock", "it"):
        monkeypatch.undo()
        with pytest.raises(InputError, match=said), only_writer(tmp_path / ".lock", "it"):
            pytest.fail("two writers")


def test_the_lock_is_released_when_the_block_fails(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), only_writer(tmp_path / ".lock", "it"):
            raise ZeroDivisionError


def test_a_lock_file_goes_while_it_is_held(tmp_path, monkeypatch):
    """A moment later it may be another's, who would then keep nobody out."""
    lock, release, there = tmp_path / ".lock", FileLock.release, []
    monkeypatch.setattr(FileLock, "release", lambda *words, **named: (there.append(lock.exists()), release(*words)))
    with only_writer(lock, "it"):
        assert lock.exists()
    assert there[0] is False  # at the first call; another follows when the lock is forgotten


def test_many_that_come_and_go_never_overlap(tmp_path):
    """Four processes take and drop the lock again and again; each appends its number twice while it holds it."""
    code = (
        "import os, sys\nfrom lasnn.errors import InputError\nfrom lasnn.storage.locks import only_writer\ndone = 0\n"
        "while done < 30:\n"
        "    try:\n"
        "        with only_writer(sys.argv[1] + '/.lock', 'it'):\n"
        "            for _ in range(2):\n"
        "                with open(sys.argv[1] + '/book', 'a') as book: book.write(f'{os.getpid()}\\n')\n"
        "            done += 1\n"
        "    except InputError: pass\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(4)]
    assert [worker.wait(timeout=60) for worker in workers] == [0] * 4
    lines = (tmp_path / "book").read_text().splitlines()
    assert len(lines) == 240
    assert lines[::2] == lines[1::2]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_log_on_a_full_disk_costs_one_line(tmp_path, capsys):
    console = Console("a run", "/dev/full")
    for number in range(3):
        console.say(f"line {number}")
    console.record("more\n")
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "warning" in line] == [
        "a run: warning: the log cannot be written (No space left on device): goes on without it"
    ]
    assert [line for line in said if "line" in line and "warning" not in line] == [f"a run: line {n}" for n in range(3)]


def test_without_locks_of_the_system_the_file_is_the_lock(tmp_path, monkeypatch):
    """On a network file system a second writer is refused while the first one holds the file, unless that is dead.

    The file of a killed process names it, so the next one takes it over at its second try.
    """
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
    lock = tmp_path / ".lock"
    with only_writer(lock, "it"):
        said = message_of(only_writer(lock, "it").__enter__)
        assert re.search(r"it is being made by another process \(as .*\.lock\.held says", said)
        assert [path.name for path in tmp_path.iterdir()] == [".lock.held"]
    with only_writer(lock, "it"):
        pass
    assert not list(tmp_path.iterdir())
    without = "import errno, fcntl\ndef flock(*_): raise OSError(errno.ENOLCK, '')\nfcntl.flock = flock\n"
    holder = held(tmp_path, without + HOLD)
    assert "it is being made by another process" in message_of(only_writer(lock, "it").__enter__)
    holder.kill()
    holder.communicate()
    assert (tmp_path / ".lock.held").exists()
    with only_writer(lock, "it"):
        pass


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    """Snakemake would end in a traceback there, in a dry run as well."""
    (tmp_path / "file").write_text("")
    called = argparse.Namespace(dryrun=True, unlock=False, nolock=False)
    monkeypatch.setattr(single_instance, "command_line", lambda: called)
    said = message_of(single_instance.claim, tmp_path / "file" / ".snakemake")
    assert "file/.snakemake can't be written (Not a directory)" in said
