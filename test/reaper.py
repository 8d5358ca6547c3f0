"""reaper.py FOLDER PID [FKS]: waits until standard input is closed, which is when the tests of process PID have ended, also by SIGKILL;
then deletes every cluster under FOLDER/*/fks with the program FKS, unmounts what tests mounted in FOLDER, removes the cgroups
fks-test-PID and fks-test-PID-*, and at last FOLDER. Runs in a session of its own, so that no Ctrl-C reaches it. Tests start it with `reaping`."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PATIENCE = 180  # seconds: how long the clean-up may take


@contextlib.contextmanager
def reaping(folder, fks=None):
    """While this is entered, what lies in the folder is in use; afterwards, however that happens, nothing is left of it."""
    words = [sys.executable, __file__, str(folder), str(os.getpid()), *([str(fks)] if fks else [])]
    reaper = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd="/")
    try:
        yield
    finally:
        reaper.stdin.close()
        reaper.wait(PATIENCE)
    assert not Path(folder).exists(), f"the reaper could not remove {folder}"


def cgroup_folders(name):
    """The cgroup in every hierarchy (version 1), or in the one that there is (version 2)."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS / name]
    return [path / name for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists() and not path.is_symlink()]


def cgroups_removed(name):
    """Whether it is gone with all below it; not while a process is still in one."""
    try:
        for top in cgroup_folders(name):
            for below, _, _ in os.walk(top, topdown=False):
                os.rmdir(below)
        return True
    except OSError:
        return False


def unmount(folder):
    """Everything at and below a folder."""
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        if Path(line.split()[1]).is_relative_to(folder):
            subprocess.run(["umount", "-l", line.split()[1]], check=True)


def delete_clusters(folder, fks):
    """Whether all are gone."""
    clean = True
    for cluster in sorted(folder.glob("*/fks/clusters/*")):
        env = {**os.environ, "FKS_HOME": str(cluster.parents[1]), "HOME": str(cluster.parents[2] / "home")}
        run = subprocess.run([fks, "delete", "cluster", cluster.name, "--force"], env=env, stdin=subprocess.DEVNULL)
        clean = clean and run.returncode == 0
    return clean


def main(folder, pid, fks=None):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    clean = delete_clusters(folder, fks) if fks else True
    unmount(folder)
    if clean:
        shutil.rmtree(folder, ignore_errors=True)
    names = {path.name for root in cgroup_folders("") for path in [root / f"fks-test-{pid}", *root.glob(f"fks-test-{pid}-*")]}
    end = time.monotonic() + 30
    while not all([cgroups_removed(name) for name in names]) and time.monotonic() < end:
        time.sleep(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
