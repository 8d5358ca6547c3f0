"""Clocks of its own for one program: it is started with Clock.env and takes its time from a library (test/shim/clock.c)."""

import mmap
import os
import struct
import subprocess
import time

from cluster import ROOT

SETTING = struct.Struct("4q")  # since, monotonic, wall, rate
SECOND = 1_000_000_000


class Clock:
    def __init__(self, folder, ahead=0):
        """ahead: seconds by which the wall clock is ahead at first."""
        library = ROOT / "build/shim/clock.so"
        subprocess.run(["make", "-s", str(library.relative_to(ROOT))], cwd=ROOT, check=True)
        path = folder / "clock"
        path.write_bytes(bytes(8 + 2 * SETTING.size))
        with open(path, "r+b") as file:
            self.bytes = mmap.mmap(file.fileno(), 0)
        self.slot = 0
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self.put(now, now, time.time_ns() + ahead * SECOND, 1)
        # the library must come first, which the sanitizers would take for a mistake
        self.env = {"LD_PRELOAD": str(library), "FKS_TEST_CLOCK": str(path),
                    "ASAN_OPTIONS": ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))}

    def put(self, *setting):
        self.slot = 1 - self.slot
        self.setting = setting
        SETTING.pack_into(self.bytes, 8 + self.slot * SETTING.size, *setting)
        struct.pack_into("q", self.bytes, 0, self.slot)

    def now(self):
        """The machine's monotonic clock, and both of the program's."""
        since, monotonic, wall, rate = self.setting
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        return now, monotonic + (now - since) * rate, wall + (now - since) * rate

    def set_by(self, seconds):
        """The wall clock is set forward, or back."""
        now, monotonic, wall = self.now()
        self.put(now, monotonic, wall + seconds * SECOND, self.setting[3])

    def go(self, rate):
        """Both clocks go so many times as fast as the machine's from now on."""
        now, monotonic, wall = self.now()
        self.put(now, monotonic, wall, rate)
