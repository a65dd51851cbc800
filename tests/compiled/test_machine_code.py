"""The compiled code's file: made once, whole or not at all, read by nobody else's leave."""

import os
import subprocess
import sys

import pytest
import torch

from lasnn.compiled import machine_code as code

# Elsewhere loops that can't be compiled skip their own tests; here they fail.
pytestmark = pytest.mark.skipif(os.environ.get("LASNN_KERNELS") == "off", reason="no compiled loops are wanted")


@pytest.mark.parametrize(
    ("environment", "said"), [({}, "True None False"), ({"LASNN_KERNELS": "off"}, "False LASNN_KERNELS is off False")]
)
def test_a_later_process_needs_no_numba(environment, said):
    code = "import sys; from lasnn.compiled import library, reason"
    code += "; print(library() is not None, reason(), 'numba' in sys.modules)"
    command, environment = [sys.executable, "-c", code], os.environ | environment
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip() == said


def test_the_files_name_tells_compilers_machines_and_sources_apart(monkeypatch):
    """32 hex digits; with another numba, another processor or another source it is another file."""
    names = {code._digest()}
    for place, name, value in (
        (code.importlib.metadata, "version", lambda name: "0.0"),
        (code.platform, "platform", lambda: "elsewhere"),
        (code, "SOURCES", code.SOURCES[1:]),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, value)
            names.add(code._digest())
    assert [len(name) for name in names] == [32] * 4


def test_what_the_user_sets_for_numba_changes_no_byte(tmp_path, monkeypatch):
    """Another level of optimisation, another processor, a file of settings: the same code."""
    code.compile_into(tmp_path / "plain.bin", "count")
    monkeypatch.setenv("NUMBA_OPT", "0")
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "")
    (tmp_path / ".numba_config.yaml").write_text("opt: 0")
    monkeypatch.chdir(tmp_path)
    (place := tmp_path / "other").mkdir()
    code.compile_into(place / "set.bin", "count")
    assert code.read(place / "set.bin") == code.read(tmp_path / "plain.bin")
    assert list(code.read(place / "set.bin")) == ["count"]


def test_what_cannot_be_compiled_says_why_and_leaves_the_work_to_torch(tmp_path, monkeypatch):
    """In one line, in provenance too."""
    with pytest.raises(RuntimeError, match=r"^KeyError: .no such loop.$"):
        code.compile_into(tmp_path / "code.bin", "no such loop")
    monkeypatch.setattr(code, "library", lambda: None)
    monkeypatch.setattr(code, "_reason", "OSError: no space")
    assert code.described() == "none: OSError: no space"
    monkeypatch.undo()
    assert code.described().startswith("numba 0.")


def test_a_loop_that_raised_is_named():
    """By its status, numba's first result."""
    raising = code.ctypes.CFUNCTYPE(code.ctypes.c_int32, code.ctypes.c_void_p, code.ctypes.c_void_p)(lambda *_: 1)
    loop = code._function("bad", code.ctypes.cast(raising, code.ctypes.c_void_p).value, "")
    with pytest.raises(RuntimeError, match="compiled loop bad: numba's status 1; LASNN_KERNELS=off"):
        loop()


def test_a_file_that_is_damaged_or_that_others_could_write_counts_as_none(tmp_path):
    path = tmp_path / "kernels.bin"
    whole = {"add": ("symbol", "pp", b"machine code")}
    code.write(path, whole)
    assert code.read(path) == whole
    path.chmod(0o666)
    assert code.read(path) is None
    path.chmod(0o600)
    content = path.read_bytes()
    for damaged in (content[:-1], content[:40] + b"x" + content[41:], b""):
        path.write_bytes(damaged)
        assert code.read(path) is None
    code.write(path, {})
    assert code.read(path) == {}


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no users here")
def test_a_home_that_is_not_there_or_cannot_be_written(tmp_path, monkeypatch):
    """Then it is the temporary folder, if that can be written."""
    blocked, temporary = tmp_path / "file", tmp_path / "temporary"
    blocked.write_text("not a folder")
    temporary.mkdir()
    monkeypatch.setattr(code.tempfile, "gettempdir", lambda: str(temporary))
    for home in ("~", "relative"):
        with monkeypatch.context() as patch:
            patch.delenv("XDG_CACHE_HOME", raising=False)
            patch.setattr(code.os.path, "expanduser", lambda path, home=home: path.replace("~", home))
            assert code.folder().parent == temporary
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert code.folder() == temporary / f"lasnn-{os.getuid()}"
    monkeypatch.setattr(code.tempfile, "gettempdir", lambda: str(blocked))
    with pytest.raises(OSError, match="no folder for compiled code can be written"):
        code.folder()


def test_all_parts_are_done_once():
    done = torch.zeros(10)
    code.over(10, 4, lambda first, last: done[first:last].add_(1))
    assert done.tolist() == [1] * 10
    code.over(0, 4, lambda first, last: done.zero_())
    assert done.tolist() == [0] * 10 or done.tolist() == [1] * 10
