"""The daemons behind the balancer: each a process that is started, stopped, and started again on the same port."""

import itertools
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from ledger import PATIENCE


def free_ports():
    """Ports that nothing listens on, below those that the kernel chooses (ip_local_port_range): while a daemon is being
    restarted no connection gets its port. The process id separates runs at the same time."""
    first = os.getpid() % 1000 * 10
    for number in itertools.count(first):
        port = 20_000 + number % 10_000
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        yield port


class Manager:
    """The service manager's side of sd_notify(3), for one process."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))

    def wait_for(self, assignment, process):
        """Waits until the process sends a message with a line that begins like this."""
        self.socket.settimeout(1)  # to notice that the process has exited
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                message = self.socket.recv(4096)
            except TimeoutError:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args[0]} has exited, and not sent {assignment.decode()}") from None
                continue
            if any(line.startswith(assignment) for line in message.split(b"\n")):
                return
        raise TimeoutError(f"{process.args[0]} has not sent {assignment.decode()}")

    def forget(self):
        """Drops the messages of a process that has exited."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(4096):
                pass
        except BlockingIOError:
            pass


class Instance:
    """One daemon."""

    def __init__(self, program, name, listeners, options, directory):
        self.name, self.listeners = name, listeners
        listen = [f"--listen={service}={host}:{port}" for service, (host, port) in listeners.items()]
        self.command = [program, *listen, *options]
        self.log = Path(directory) / f"{name}.log"
        self.manager = Manager(Path(directory) / f"{name}.notify")
        self.process = None

    def start(self):
        """Starts the process and waits until it serves."""
        self.manager.forget()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RETORTD_")}
        environment["NOTIFY_SOCKET"] = str(self.manager.path)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stderr=log, env=environment)
        self.manager.wait_for(b"READY=1", self.process)

    def order_stop(self):
        self.process.send_signal(signal.SIGTERM)

    def wait_delay_begun(self):
        self.manager.wait_for(b"STATUS=stopping: accepts connections", self.process)

    def wait_delay_over(self):
        """Waits until the drain begins, of which the status says no more than that the daemon is stopping."""
        self.manager.wait_for(b"STATUS=stopping;", self.process)

    def wait_stopped(self):
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} has not ended in {PATIENCE} s") from None
        if status != 0:
            raise RuntimeError(f"{self.name} has ended with {status}")

    def kill(self):
        """Ends the process, whatever its state."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
