"""Rolling restarts of three instances behind balancers, under load; what became of every request.

    python3 tests/reach [--short] [--only CASE,...] [--rounds N] [--json FILE] [--list] [--retortd PROGRAM]

The load is of fresh connections, with one request each, of persistent ones with pipelined requests, and of quiet ones.
The instances are restarted one after the other. A case without the drain delay must lose connections where that is
certain: it shows that the test can fail. With the delay no fresh connection may fail. In no case may a reply be cut,
wrong or doubled. A case whose balancer is not installed is skipped, by tests/skip.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

import report
from balancers import ROOT, run
from cases import CASES
from clients import Crowd
from instances import Instance, free_ports
from ledger import Ledger

# Set in the network namespace of a case; its value is not used.
INSIDE = "RETORTD_REACH_NAMESPACE"
# The exit status of a process in which a namespace cannot be used.
NOT_ALLOWED = 77
# The fresh connections that are served before the next restart: the load has reached all instances again.
BETWEEN = 200


def main():
    options = command_line()
    if options.list:
        return print("\n".join(f"{case.name:24} {case.summary()}" for case in CASES))
    if not options.retortd.exists():
        raise SystemExit(f"{options.retortd} is missing: cargo build")
    results = []
    for case in CASES:
        if case.name in options.only if options.only else case.short or not options.short:
            print(f"{case.name}: {case.summary()}", file=sys.stderr, flush=True)
            results += filter(None, [result_of(case, options)])
    if options.json:
        options.json.write_text(json.dumps({"version": version(options.retortd), "cases": results}, indent=1) + "\n")
    if INSIDE in os.environ:
        return None
    print(report.table(results))
    return report.judge(results)


def command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    add("--short", action="store_true", help="only the cases that prove most, for each change")
    add("--only", type=lambda text: text.split(","), metavar="CASE,...", help="only these cases")
    add("--rounds", type=int, default=1, metavar="N", help="how often each instance is restarted [1]")
    add("--json", type=Path, metavar="FILE", help="write the results, too")
    add("--list", action="store_true", help="list the cases")
    add("--retortd", type=Path, default=target / "release/retortd", metavar="PROGRAM", help="[target/release/retortd]")
    options = parser.parse_args()
    if unknown := set(options.only or []) - {case.name for case in CASES}:
        parser.error(f"no case {', '.join(sorted(unknown))}")
    return options


def version(program):
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def result_of(case, options):
    """The result of a case; None if it is skipped."""
    if reason := case.balancer.missing():
        return skip(case, reason)
    if case.balancer.needs_namespace and INSIDE not in os.environ:
        return in_namespace(case, options)
    return rolling_restart(case, options)


def skip(case, reason):
    subprocess.run([ROOT / "tests/skip", f"tests/reach, {case.name}", reason], check=True)


def in_namespace(case, options):
    """Runs a case in a process with a network of its own."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    with tempfile.NamedTemporaryFile() as file:
        command = [*unshare, sys.executable, Path(__file__).parent, "--only", case.name, "--json", file.name]
        command += ["--rounds", str(options.rounds), "--retortd", options.retortd]
        environment = {**os.environ, INSIDE: "1"}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                _, error = process.communicate()
            finally:
                process.terminate()  # which ends its daemons, if this process was interrupted
        if process.returncode == NOT_ALLOWED or error.startswith("unshare: "):
            return skip(case, "network namespaces are not allowed here")
        if process.returncode != 0:
            raise SystemExit(error)
        return json.load(file)["cases"][0]


def set_up_namespace():
    try:
        run("ip", "link", "set", "lo", "up")
        run("nft", "list", "tables")
        for address in ("192.0.2.1", "192.0.2.11", "192.0.2.12", "192.0.2.13"):
            run("ip", "address", "add", f"{address}/32", "dev", "lo")
    except RuntimeError as error:
        print(error, file=sys.stderr)
        raise SystemExit(NOT_ALLOWED) from error


def rolling_restart(case, options):
    """All instances behind the balancer are restarted one after the other under load."""
    if case.balancer.needs_namespace:
        set_up_namespace()
    ledger, begun, error = Ledger(), time.monotonic(), None
    with tempfile.TemporaryDirectory() as directory:
        try:
            run_under_load(case, options, ledger, Path(directory))
        except (TimeoutError, RuntimeError) as stopped:
            logs = [f"{log.name}: {line}" for log in Path(directory).glob("*.log") for line in last_lines(log)]
            error = "\n".join([str(stopped), *logs])
    return report.result(case, ledger, time.monotonic() - begun, error)


def last_lines(log):
    return log.read_text(errors="replace").splitlines()[-5:]


def run_under_load(case, options, ledger, directory):
    with ExitStack() as stack:
        ports = free_ports()
        instances = []
        for name, listeners in all_listeners(case, ports):
            instance = Instance(options.retortd, name, listeners, case.options(), directory)
            instances.append(instance)
            stack.callback(instance.kill)
            instance.start()
        balancer = case.balancer(case.document, case.changes, instances, next(ports), directory)
        stack.enter_context(closing(balancer))
        with Crowd(balancer.address, ledger):
            ledger.wait_for("fresh", "answered", BETWEEN)
            for instance in instances * options.rounds:
                if case.restarts:
                    restart(case, balancer, instance, ledger)
                ledger.wait_for("fresh", "answered", BETWEEN)


def all_listeners(case, ports):
    """The names of the instances, and where each listens: in a namespace at the addresses of the document."""
    for number, name in enumerate(("one", "two", "three"), 11):
        frame = (f"192.0.2.{number}", 8083) if case.balancer.needs_namespace else ("127.0.0.1", next(ports))
        yield name, {"frame": frame, **{service: ("127.0.0.1", next(ports)) for service in case.side}}


def restart(case, balancer, instance, ledger):
    """Stops an instance, and starts it when the balancer has been notified as far as its kind is."""
    instance.order_stop()
    balancer.stopping(instance)
    if case.delay:
        instance.wait_delay_begun()
        ledger.set_in_delay(True)
        instance.wait_delay_over()
        ledger.set_in_delay(False)
    instance.wait_stopped()
    balancer.stopped(instance)
    time.sleep(case.down)
    instance.start()
    balancer.started(instance)


if __name__ == "__main__":
    # an exception, so that everything that was started is ended
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
