"""Programs that are no clients, or that do to a judge what it must bear.

    unruly.py NAME FILE [the arguments of right.py]

FILE gets what the program has to say to the test.
"""

import os
import signal
import sys
import time

from right import Client

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__.replace("_", "-")] = function
    return function


@program
def lists_descriptors(report, arguments):
    """Reports the descriptors that it has inherited, and is a correct client otherwise."""
    for descriptor in sorted(map(int, os.listdir("/proc/self/fd"))):
        try:
            report.write(f"{descriptor} {os.readlink(f'/proc/self/fd/{descriptor}')}\n")
        except FileNotFoundError:
            pass  # the one of listdir
    sys.exit(Client(arguments).main())


@program
def leaves_child_behind(report, arguments):
    """A correct client, whose child holds standard output and standard error open, and outlives it."""
    if os.fork() == 0:
        endless(report)
    sys.exit(Client(arguments).main())


@program
def ignores_sigterm(report, _):
    """Ends for nothing but SIGKILL, and neither does its child."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.fork()
    endless(report)


@program
def waits(report, _):
    """Does nothing, and has a child that does nothing."""
    os.fork()
    endless(report)


@program
def prints_for_ever(report, _):
    """Prints without end."""
    report.write(f"{os.getpid()}\n")
    report.flush()
    while True:
        os.write(1, b"x" * (1 << 16))


@program
def complains_for_ever(report, _):
    """Prints without end on standard error."""
    report.write(f"{os.getpid()}\n")
    report.flush()
    while True:
        os.write(2, b"x" * (1 << 16))


def endless(report):
    """Reports the process, and waits for a signal that ends it."""
    report.write(f"{os.getpid()}\n")
    report.flush()
    while True:
        time.sleep(1000)


if __name__ == "__main__":
    with open(sys.argv[2], "a", encoding="ascii") as report:
        PROGRAMS[sys.argv[1]](report, sys.argv[3:])
