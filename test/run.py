"""Runs the tests of FKS and counts them: see test/README.md. Started by scripts/test, from the root of the repository.

The last line is `N passed, N failed, N skipped`; the exit code is 1 if something failed or nothing ran. A part that hangs is
ended at its time limit and counts as a failure. Every sanitizer report of any process, also of a daemon, is a failure.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path

from reaper import reaping

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build/test"
REPORTS = OUT / "sanitizer"
PARTS = ["unit", "integration", "e2e", "conformance"]
CONFORMANCE = "test/e2e/test_conformance.py"
MAKE = ["make", "--no-print-directory", "SAN=address,undefined", "WERROR=1"]
# seconds until a step is ended
LIMIT_ASSETS, LIMIT_BUILD, LIMIT_UNIT, LIMIT_INTEGRATION, LIMIT_E2E, LIMIT_CONFORMANCE = 3600, 1800, 300, 1800, 1800, 900

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1

started = time.monotonic()


class Totals:
    passed = failed = skipped = 0
    failures = []

    def ok(self, count=1):
        self.passed += count

    def fail(self, what, count=1):
        self.failed += count
        self.failures.append(what)


totals = Totals()


def say(text):
    print(text, flush=True)


def heading(text):
    say(f"\n=== {text} ({time.monotonic() - started:.0f} s)")


def environment():
    REPORTS.mkdir(parents=True, exist_ok=True)
    for old in REPORTS.iterdir():
        old.unlink()
    # reports go to files: the standard error of a daemon is deleted with its cluster
    path = f"log_path={REPORTS}/report"
    return {**os.environ, "FKS_BIN": str(ROOT / "build/san/bin"), "PYTHONDONTWRITEBYTECODE": "1",
            "ASAN_OPTIONS": "strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1:"
                            f"detect_leaks=1:{path}",
            "UBSAN_OPTIONS": f"print_stacktrace=1:halt_on_error=1:{path}"}


def run(words, limit, env=None, capture=False):
    """Exit code and output; None as exit code: ended because it took longer than its limit."""
    pipe = subprocess.PIPE if capture else None
    child = subprocess.Popen([str(word) for word in words], stdout=pipe, stderr=subprocess.STDOUT if capture else None,
                             stdin=subprocess.DEVNULL, env=env, cwd=ROOT, start_new_session=True,
                             preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM))  # also when we are killed
    # its own process group, so that a whole build can be ended; a signal to us is passed on
    def pass_on(number, frame):
        os.killpg(child.pid, number)
        child.wait()
        sys.exit(128 + number)

    previous = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    output = b""
    try:
        output = child.communicate(timeout=limit)[0] or b""
        code = child.returncode
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGTERM)  # pytest tidies up at SIGTERM
        try:
            output = child.communicate(timeout=60)[0] or b""
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            output = child.communicate()[0] or b""
        code = None
    for number, handler in previous.items():
        signal.signal(number, handler)
    return code, output.decode(errors="replace")


def required(words, limit, what, env=None):
    """A step without which nothing can be tested."""
    code, _ = run(words, limit, env)
    if code == 0:
        return
    totals.fail(what + (f": exit code {code}" if code is not None else f": took longer than {limit} s"))
    finish()


def sanitizer_reports(after):
    """Counts the reports that appeared, and shows them."""
    for report in sorted(REPORTS.iterdir()):
        text = report.read_text(errors="replace")
        say(f"--- sanitizer report after {after}, {report.name}\n" + "\n".join(text.splitlines()[:60]))
        totals.fail(f"sanitizer report after {after}: {report.name}")
        report.rename(OUT / report.name)


def assets_folder(env):
    """Where `make assets` puts the control plane."""
    _, output = run([*MAKE, "print-assets-dir"], LIMIT_BUILD, env, capture=True)
    return output.strip()


def lint():
    heading("lint")
    code, output = run(["scripts/lint"], LIMIT_BUILD, capture=True)
    say(output.rstrip())
    checks = re.findall(r"^(ok|not ok) (.+)$", output, re.MULTILINE)
    for result, name in checks:
        totals.ok() if result == "ok" else totals.fail(f"lint: {name}")
    if code != 0 and not any(result == "not ok" for result, _ in checks):
        totals.fail("lint")


def unit_program(program, env):
    """A cmocka program: its tests are counted from the lines of the Test Anything Protocol."""
    name = program.relative_to(ROOT / "build/san/test").as_posix()
    code, output = run([program], LIMIT_UNIT, {**env, "CMOCKA_MESSAGE_OUTPUT": "TAP"}, capture=True)
    passed = failed = skipped = 0
    for line in output.splitlines():
        match = re.match(r"(not )?ok \d+(?: -)?\s*(.*)", line)
        if match is None:
            continue
        if re.search(r"#\s*SKIP", line, re.IGNORECASE):
            skipped += 1
            say(f"skipped: {name}: {match.group(2)}")
        elif match.group(1):
            failed += 1
            totals.fail(f"{name}: {match.group(2)}")
        else:
            passed += 1
    if code is None:
        totals.fail(f"{name}: took longer than {LIMIT_UNIT} s")
    elif code != 0 and failed == 0:
        totals.fail(f"{name}: ended with " + (f"signal {-code}" if code < 0 else f"exit code {code}"))
    elif passed + failed + skipped == 0:
        totals.fail(f"{name}: ran no test")
    totals.ok(passed)
    totals.skipped += skipped
    if code == 0:
        say(f"ok      {name}: {passed} tests")
    else:
        say(f"FAILED  {name}\n{output.rstrip()}")


def replay_program(program, env):
    name = program.name.removeprefix("fuzz_")
    corpus = ROOT / "test/fuzz/corpus" / name
    inputs = sorted(corpus.iterdir()) if corpus.is_dir() else []
    if not inputs:
        totals.fail(f"replay {name}: test/fuzz/corpus/{name} has no seed")
        return
    code, output = run([program, *inputs], LIMIT_UNIT, env, capture=True)
    if code == 0:
        totals.ok()
        say(f"ok      replay {name}: {len(inputs)} inputs")
    else:
        totals.fail(f"replay {name}")
        say(f"FAILED  replay {name}: exit code {code}\n{output.rstrip()}")


def unit(env):
    heading("unit tests")
    # a binary whose source is gone is no test any more
    sources = {path.relative_to(ROOT / "test/unit").with_suffix("").as_posix() for path in (ROOT / "test/unit").rglob("test_*.c")}
    folder = tempfile.mkdtemp(prefix="fks-unit-")
    with reaping(folder):
        for source in sorted(sources):
            unit_program(ROOT / "build/san/test" / source, {**env, "TMPDIR": folder})
    heading("fuzz corpora")
    for source in sorted((ROOT / "test/fuzz").glob("fuzz_*.c")):
        replay_program(ROOT / "build/san/replay" / source.stem, env)
    sanitizer_reports("unit tests")


def pytest(part, limit, env, *files):
    heading(f"{part} tests")
    results = OUT / f"{part}.xml"
    results.unlink(missing_ok=True)
    code, _ = run(["/usr/bin/python3", "-u", "-m", "pytest", "-v", "-rfEs", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={results}",
                   *(files or [f"test/{part}"])], limit, env)
    if code is None:
        totals.fail(f"{part}: took longer than {limit} s")
    try:
        cases = list(xml.etree.ElementTree.parse(results).iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError):
        if code is not None:
            totals.fail(f"{part}: pytest ended with exit code {code} and no results")
        return
    failed = 0
    for case in cases:
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
            totals.fail(f"{part}: {case.get('classname')}.{case.get('name')}")
        elif case.find("skipped") is not None:
            totals.skipped += 1
        else:
            totals.ok()
    if code not in (0, None) and failed == 0:
        totals.fail(f"{part}: pytest ended with exit code {code}")
    sanitizer_reports(f"{part} tests")


def finish():
    heading("done")
    for failure in totals.failures:
        say(f"FAILED  {failure}")
    say(f"{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped")
    sys.exit(1 if totals.failed > 0 or totals.passed == 0 else 0)


def main(parts):
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        sys.exit(f"test: '{unknown[0]}' is no part of the tests: {' '.join(PARTS)}")
    parts = parts or PARTS
    env = environment()
    jobs = f"-j{os.cpu_count() or 1}"
    heading("building with sanitizers")
    targets = ["all"] + (["unit-programs", "replay-programs"] if "unit" in parts else [])
    required([*MAKE, jobs, *targets], LIMIT_BUILD, "build")
    if parts != ["unit"]:
        heading("control plane programs and images")
        required([*MAKE, "assets", "helm"], LIMIT_ASSETS, "getting the control plane")
    if "unit" in parts:
        lint()
        unit(env)
    if "integration" in parts:
        pytest("integration", LIMIT_INTEGRATION, env)
    if "e2e" in parts:
        run(["scripts/assets/build-metrics-server", assets_folder(env)], LIMIT_ASSETS)
        pytest("e2e", LIMIT_E2E, env, "test/e2e", f"--ignore={CONFORMANCE}")
    if "conformance" in parts:
        # without the Go toolchain the tests say that they are skipped, and why
        run(["scripts/assets/build-conformance.sh", assets_folder(env)], LIMIT_ASSETS)
        pytest("conformance", LIMIT_CONFORMANCE, env, CONFORMANCE)
    finish()


if __name__ == "__main__":
    main(sys.argv[1:])
