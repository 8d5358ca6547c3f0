"""reaper.py FKS FOLDER: waits until standard input is closed, which is when the tests have ended, also by SIGKILL; then deletes
every cluster under FOLDER/*/fks and removes FOLDER. Started in a session of its own, so that no Ctrl-C reaches it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import harness

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
program, folder = sys.argv[1], Path(sys.argv[2])
sys.stdin.buffer.read()
clean = True
for cluster in sorted(folder.glob("*/fks/clusters/*")):
    env = {**os.environ, "FKS_HOME": str(cluster.parents[1]), "HOME": str(cluster.parents[2] / "home")}
    run = subprocess.run([program, "delete", "cluster", cluster.name, "--force"], env=env, stdin=subprocess.DEVNULL)
    clean = clean and run.returncode == 0
harness.unmount(folder)  # what a test mounted itself
if clean:
    shutil.rmtree(folder, ignore_errors=True)
