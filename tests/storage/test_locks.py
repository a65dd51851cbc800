"""One writer at a time: a second one gets one line, a dead one's lock is no obstacle, and a full disk is one line."""

import argparse
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from unittest.mock import Mock

import pytest
from filelock import FileLock

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


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / ".lock")],
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_writer_gets_one_line_that_names_the_first(tmp_path, holder):
    with (
        pytest.raises(InputError, match=f"the run x is being made by another process .number {holder.pid}.: ") as error,
        only_writer(tmp_path / ".lock", "the run x"),
    ):
        pytest.fail("two writers")
    assert "\n" not in str(error.value)
    assert (tmp_path / ".lock").exists()  # still the first one's


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


def test_the_lock_of_a_killed_process_is_no_obstacle(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".lock").exists()
    with only_writer(tmp_path / ".lock", "it"):
        assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()
    assert not (tmp_path / ".lock").exists()


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


@pytest.fixture
def without_flock(monkeypatch):
    """A network file system without locks."""
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))


def test_without_locks_of_the_system_the_file_is_the_lock(tmp_path, monkeypatch, without_flock):
    """A second writer on such a file system is refused while the first one holds the file, and may then have it."""
    with only_writer(tmp_path / ".lock", "it"):
        with pytest.raises(InputError, match=r"it is being made by another process .as .*\.lock.held says"):
            only_writer(tmp_path / ".lock", "it").__enter__()
        assert [path.name for path in tmp_path.iterdir()] == [".lock.held"]
    with only_writer(tmp_path / ".lock", "it"):
        pass
    assert not list(tmp_path.iterdir())


def test_without_locks_of_the_system_a_dead_process_holds_nothing(tmp_path, without_flock):
    """The file of a killed process names it, so the next one takes it over at its second try."""
    code = f"import errno, fcntl\ndef flock(*_): raise OSError(errno.ENOLCK, '')\nfcntl.flock = flock\n{HOLD}"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / ".lock")], stdout=subprocess.PIPE)
    process.stdout.readline()
    with pytest.raises(InputError, match="it is being made by another process"):
        only_writer(tmp_path / ".lock", "it").__enter__()
    process.kill()
    process.communicate()
    assert (tmp_path / ".lock.held").exists()
    with only_writer(tmp_path / ".lock", "it"):
        pass


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    """Snakemake would end in a traceback there, in a dry run as well."""
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        single_instance, "command_line", lambda: argparse.Namespace(dryrun=True, unlock=False, nolock=False)
    )
    with pytest.raises(InputError, match=r"file/\.snakemake can't be written \(Not a directory\)"):
        single_instance.claim(tmp_path / "file" / ".snakemake")
