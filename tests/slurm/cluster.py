"""A real Slurm on this machine alone: its daemons in the foreground, bound to the loopback, ended with the test."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "# written by tests/slurm/cluster.py"
ETC = Path("/etc/slurm")  # slurmd looks nowhere else
CONFIGURATIONS = [ETC / name for name in ("slurm.conf", "gres.conf", "slurmdbd.conf")]
DAEMONS = ("munged", "slurmctld", "slurmd")
OF_ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db")

SLURM = """{mark}
ClusterName=lasnn
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=5
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
InactiveLimit=0
KillWait=30
MessageTimeout=60
SlurmctldTimeout=300
SlurmdTimeout=300
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory}{gres}
PartitionName=main Nodes={host} Default=YES MaxTime=60 State=UP
PartitionName=short Nodes={host} MaxTime=1 State=UP
"""
NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none\n"
ACCOUNTING = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStorageEnforce=associations,limits
AccountingStorageTRES=gres/gpu
"""
SLURMDBD = """{mark}
AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
SlurmUser=root
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
"""


def missing(accounting: bool) -> list[str]:
    """Programs that a cluster needs and that aren't here."""
    return [name for name in (*DAEMONS, *(OF_ACCOUNTING if accounting else ())) if not shutil.which(name)]


def asked(*words: str) -> str:
    """What a program says; empty if it fails."""
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def wait_for(true, what: str, seconds: float = 60) -> None:
    """Until `true()`; RuntimeError after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not come about in {seconds:.0f} s")
        time.sleep(0.3)


@contextlib.contextmanager
def cluster(folder: Path, accounting: bool = False, cards: int = 0) -> Iterator[None]:
    """Slurm while the block runs, with state and logs in `folder`; partitions main (60 minutes) and short (1 minute).

    With `accounting` a job needs the account `lab`. `cards` are device files that compute nothing.
    """
    host = socket.gethostname().split(".")[0]
    for file in CONFIGURATIONS:
        if file.exists() and not file.read_text().startswith(MARK):
            raise RuntimeError(f"{file} is another cluster's: this is for a machine without one")
    for part in ("state", "spool"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    ETC.mkdir(exist_ok=True)
    words = {"mark": MARK, "folder": folder, "host": host, "cpus": os.cpu_count()}
    words["memory"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 - 1024
    words["gres"] = f" Gres=gpu:{cards}" if cards else ""
    (ETC / "slurm.conf").write_text(SLURM.format(**words) + (ACCOUNTING if accounting else NO_ACCOUNTING))
    devices = [folder / f"card{number}" for number in range(cards)]
    for device in devices:
        if not device.exists():
            os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))  # as /dev/null
    (ETC / "gres.conf").write_text("\n".join([MARK, *(f"Name=gpu File={device}" for device in devices)]) + "\n")
    started: list[subprocess.Popen] = []

    def start(*command: str) -> None:
        with open(folder / f"{Path(command[0]).name}.out", "ab") as out:
            started.append(subprocess.Popen(command, stdout=out, stderr=out))

    try:
        subprocess.run(["install", "-d", "-o", "munge", "-g", "munge", "/run/munge"], check=True)
        if not asked("munge", "-n"):
            start("runuser", "-u", "munge", "--", "munged", "--foreground")
            wait_for(lambda: asked("munge", "-n"), "munge")
        if accounting:
            _start_accounting(folder, words, start)
        start("slurmctld", "-D")
        start("slurmd", "-D", "-N", host)
        wait_for(lambda: asked("sinfo", "-h", "-p", "main", "-o", "%t").startswith(("idle", "mix")), "the node")
        yield
    finally:
        asked("scancel", "--full", "-u", "root")
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
        for file in CONFIGURATIONS:
            file.unlink(missing_ok=True)


def _start_accounting(folder: Path, words: dict, start) -> None:
    socket_file = Path("/run/mysqld/mysqld.sock")  # the only one that slurmdbd asks
    socket_file.parent.mkdir(exist_ok=True)
    if not (folder / "db").exists():
        install = ["mariadb-install-db", f"--datadir={folder}/db", "--user=root", "--auth-root-socket-user=root"]
        subprocess.run(install, check=True, capture_output=True)
    plain = ["--no-defaults", f"--datadir={folder}/db", f"--socket={socket_file}", "--user=root", "--skip-networking"]
    start("mariadbd", *plain, "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900")
    wait_for(lambda: asked("mariadb", "-e", "select 1"), "the database")
    (ETC / "slurmdbd.conf").write_text(SLURMDBD.format(**words))
    (ETC / "slurmdbd.conf").chmod(0o600)
    start("slurmdbd", "-D")
    wait_for(
        lambda: asked("sacctmgr", "-n", "show", "cluster") or "root" in asked("sacctmgr", "-n", "show", "user"),
        "slurmdbd",
    )
    for entry in (["cluster", "lasnn"], ["account", "lab"], ["user", "root", "account=lab"]):
        asked("sacctmgr", "-i", "add", *entry)
