"""A real Slurm with accounting on this one machine, for tests: root, loopback, no systemd.

    python -m tests.system.slurm.cluster           bring it up
    python -m tests.system.slurm.cluster --down    stop every daemon of it

FOR THROW-AWAY MACHINES ONLY (containers, CI). It installs Debian's packages and runs munge,
MariaDB, slurmdbd, slurmctld and slurmd as root, with a password that anyone can read here. What it
writes lies in one folder, keys and devices too, with links in /etc/slurm (the plugin's jobs drop
SLURM_CONF); a machine with a Slurm of its own is left alone.

Its two GPUs are fake: device files that Slurm counts and hands out, with nothing behind them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

FOLDER = Path("/var/lib/pcpo-slurm-test")
ETC = Path("/etc/slurm")
CONFIGURATION = ("slurm.conf", "slurmdbd.conf", "gres.conf")
PACKAGES = ("slurm-wlm", "slurm-client", "slurmdbd", "munge", "mariadb-server")
# In the order in which they start.
PROGRAMS = {
    "munged": "/usr/sbin/munged",
    "mariadbd": "/usr/sbin/mariadbd",
    "slurmdbd": "/usr/sbin/slurmdbd",
    "slurmctld": "/usr/sbin/slurmctld",
    "slurmd": "/usr/sbin/slurmd",
}
GPUS = 2
ACCOUNT, PARTITIONS = "pcpo", ("main", "gpu")
# Not Slurm's usual ports, so that no other one answers.
CONTROLLER_PORT, NODE_PORT, ACCOUNTING_PORT, DATABASE_PORT = 26817, 26818, 26819, 23306


def obstacle() -> str | None:
    """Why this machine cannot have the test cluster, in a few words; None if it can."""
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    if {"SLURM_CONF", "SLURM_JOB_ID"} & set(os.environ) or any(
        os.path.lexists(ETC / name) and not _ours(ETC / name) for name in CONFIGURATION
    ):
        return "this machine has a Slurm of its own"
    if missing_packages() and shutil.which("apt-get") is None:
        return f"no apt-get to install {' '.join(missing_packages())}"
    return None


def missing_packages() -> list[str]:
    return [name for name in PACKAGES if not _succeeds("dpkg", "-s", name)]


def install() -> None:
    """Debian's packages, half a minute. Raises OSError with apt's last words if it cannot."""
    wanted = missing_packages()
    if not wanted:
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ("update", "-qq"),
        ("install", "-y", "-qq", "--no-install-recommends", *wanted),
    ):
        done = subprocess.run(
            ["apt-get", *command], env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise OSError(f"apt-get {command[0]} failed: {done.stderr.strip()[-300:]}")


def up(accounting: bool = True) -> None:
    """Bring the cluster up, in seconds. Raises OSError, with the log to read, if it cannot."""
    down()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(mode=0o755)
    _write_configuration(accounting)
    key = FOLDER / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    _start(
        "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={FOLDER}/munge.socket",
        f"--pid-file={FOLDER}/munged.own.pid", f"--log-file={FOLDER}/munged.log",
        f"--seed-file={FOLDER}/munge.seed",
    )  # fmt: skip
    _wait("munged", lambda: (FOLDER / "munge.socket").exists())

    if accounting:
        _start_accounting()
    _start("slurmctld", "-D", "-c")
    _start("slurmd", "-D", "-c")
    _wait("slurmd", lambda: _output("sinfo", "-h", "-o", "%T", "-p", PARTITIONS[0]) == "idle")


def _start_accounting() -> None:
    """MariaDB and slurmdbd, and an account whose jobs they count."""
    data, database = FOLDER / "mysql", f"{FOLDER}/mysql.socket"
    options = ["--no-defaults", "--user=root", f"--datadir={data}"]
    install_db = ["mariadb-install-db", *options, "--auth-root-authentication-method=socket"]
    subprocess.run(install_db, check=True, capture_output=True)
    _start(
        "mariadbd", *options, f"--socket={database}", "--bind-address=127.0.0.1",
        f"--port={DATABASE_PORT}",
        "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900",
    )  # fmt: skip
    client = ["--no-defaults", f"--socket={database}"]
    _wait("mariadbd", lambda: _succeeds("mariadb-admin", *client, "ping"))
    statement = (
        "create database slurm; create user slurm@127.0.0.1 identified by 'test';"
        "grant all on slurm.* to slurm@127.0.0.1"
    )
    subprocess.run(["mariadb", *client, "-e", statement], check=True, capture_output=True)

    _start("slurmdbd", "-D")
    _wait("slurmdbd", lambda: _succeeds("sacctmgr", "-n", "list", "cluster"))
    for words in ("cluster pcpotest", f"account {ACCOUNT}", f"user root Account={ACCOUNT}"):
        subprocess.run(["sacctmgr", "-i", "add", *words.split()], check=True, capture_output=True)


def down() -> None:
    """End its jobs and its daemons, the last started first. Harmless where there is none."""
    if _running("slurmctld"):
        subprocess.run(["scancel", "--user", "root"], capture_output=True)
        _until(lambda: not _output("squeue", "-h"), seconds=30)
    for name in reversed(PROGRAMS):
        if pid := _running(name):
            os.kill(pid, signal.SIGTERM)
            if not _until(lambda name=name: not _running(name), seconds=15):
                os.kill(pid, signal.SIGKILL)
        (FOLDER / f"{name}.pid").unlink(missing_ok=True)
    for name in CONFIGURATION:
        if _ours(ETC / name):
            (ETC / name).unlink()


def _ours(link: Path) -> bool:
    return link.is_symlink() and link.readlink().parent == FOLDER


def _write_configuration(accounting: bool) -> None:
    host = socket.gethostname().split(".")[0]
    with open("/proc/meminfo") as meminfo:
        megabytes = int(next(meminfo).split()[1]) * 9 // 10240
    devices = [FOLDER / f"gpu{number}" for number in range(GPUS)]
    for device in devices:  # each a node of its own, like /dev/null
        os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))
    (FOLDER / "gres.conf").write_text(
        "".join(f"NodeName={host} Name=gpu Type=fake File={device}\n" for device in devices)
    )
    partitions = "".join(
        f"PartitionName={name} Nodes={host} Default={'NO' if number else 'YES'} State=UP"
        " MaxTime=INFINITE DefaultTime=60\n"
        for number, name in enumerate(PARTITIONS)
    )
    storage = f"""\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ACCOUNTING_PORT}
AccountingStoragePass={FOLDER}/munge.socket
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment"""
    (FOLDER / "slurm.conf").write_text(f"""\
ClusterName=pcpotest
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={CONTROLLER_PORT}
SlurmdPort={NODE_PORT}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={FOLDER}/munge.socket
CredType=cred/munge
StateSaveLocation={FOLDER}/state
SlurmdSpoolDir={FOLDER}/spool
SlurmctldPidFile={FOLDER}/slurmctld.own.pid
SlurmdPidFile={FOLDER}/slurmd.own.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=0
MinJobAge=600
KillWait=15
JobRequeue=1
{storage if accounting else "AccountingStorageType=accounting_storage/none"}
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory={megabytes} Gres=gpu:fake:{GPUS}
{partitions}""")
    daemon = FOLDER / "slurmdbd.conf"
    daemon.write_text(f"""\
AuthType=auth/munge
AuthInfo=socket={FOLDER}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={ACCOUNTING_PORT}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={DATABASE_PORT}
StorageUser=slurm
StoragePass=test
StorageLoc=slurm
PidFile={FOLDER}/slurmdbd.own.pid
""")
    daemon.chmod(0o600)
    for name in ("state", "spool", "mysql"):
        (FOLDER / name).mkdir()
    ETC.mkdir(exist_ok=True)
    for name in CONFIGURATION:
        (ETC / name).symlink_to(FOLDER / name)


def _start(name: str, *arguments: str) -> None:
    with (FOLDER / f"{name}.out").open("w") as output:
        daemon = subprocess.Popen(
            [PROGRAMS[name], *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    (FOLDER / f"{name}.pid").write_text(str(daemon.pid))


def _running(name: str) -> int | None:
    """The process of a daemon that `up` started; a number that has passed to another is none."""
    file = FOLDER / f"{name}.pid"
    if not file.exists():
        return None
    pid = int(file.read_text())
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    return pid if command.startswith(PROGRAMS[name].encode()) else None


def _wait(name: str, ready: Callable[[], bool]) -> None:
    if not _until(lambda: bool(_running(name)) and ready(), seconds=60):
        raise OSError(f"{name} did not come up; see {FOLDER}/{name}.out")


def _until(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(0.2)
    return False


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--down", action="store_true", help="stop it")
    parser.add_argument("--no-accounting", action="store_true", help="without slurmdbd")
    args = parser.parse_args()
    if args.down:
        down()
        return
    if reason := obstacle():
        raise SystemExit(f"error: {reason}")
    install()
    up(accounting=not args.no_accounting)


if __name__ == "__main__":
    main()
