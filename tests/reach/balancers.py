"""The balancers in front of the instances. Their configurations are those of docs/load-balancers.md, with the addresses
of this test in place of those in the document."""

import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from ledger import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
# The module of nginx that Debian has in a package of its own, libnginx-mod-stream.
NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def document(title, changes):
    """The configuration of the document that begins with this comment, changed: texts and what replaces them."""
    text = (ROOT / "docs/load-balancers.md").read_text()
    found = re.search(rf"^    # {re.escape(title)}\n((?!    # )(    .*)?\n)+", text, re.MULTILINE)
    if not found:
        raise ValueError(f"docs/load-balancers.md has no configuration '{title}'")
    text = "".join(line[4:] or "\n" for line in found.group().splitlines(keepends=True))
    for old, new in changes:
        if old not in text:
            raise ValueError(f"'{title}' has no '{old}'")
        text = text.replace(old, new)
    return text


def with_servers(text, instances):
    """The lines of the two servers replaced by a line for each instance."""
    first, second = re.findall(r"^ *server .*192\.0\.2\.1[12].*\n", text, re.MULTILINE)
    lines = [server_line(first, instance) for instance in instances]
    return text.replace(second, "").replace(first, "".join(lines))


def server_line(shown, instance):
    host, port = instance.listeners["frame"]
    line = shown.replace(" one ", f" {instance.name} ").replace("192.0.2.11:8083", f"{host}:{port}")
    for service, option, shown_port in (("metrics", "port", 9383), ("agent", "agent-port", 9384)):
        if service in instance.listeners:
            line = line.replace(f" {option} {shown_port}", f" {option} {instance.listeners[service][1]}")
    return line


def wait_until(what, holds):
    """Waits for what other programs give no event for."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not in {PATIENCE} s")
        time.sleep(0.01)


class Process:
    """A balancer that is a process: it is started here, and ends with SIGTERM."""

    def __init__(self, command, directory):
        self.log = Path(directory) / "balancer.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def is_running(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the balancer has ended:\n{self.log.read_text()[-2000:]}")
        return True

    def stopping(self, instance):
        """The order to stop has been given: balancers with health checks find out by themselves."""

    def stopped(self, instance):
        """The instance has exited."""

    def started(self, instance):
        """The instance serves: passive checks find out by the next connection."""

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)


class Haproxy(Process):
    """haproxy; its admin socket has the state of each server."""

    needs_namespace = False

    def __init__(self, title, changes, instances, port, directory):
        self.address = ("127.0.0.1", port)
        self.admin = Path(directory) / "admin"
        text = with_servers(document(title, changes), instances)
        text = re.sub(r"^ *bind .*\n", "", text, flags=re.MULTILINE)
        text = text.replace("listen retortd\n", f"listen retortd\n    bind 127.0.0.1:{port}\n")
        file = Path(directory) / "haproxy.cfg"
        file.write_text(f"global\n    stats socket {self.admin}\n{text}")
        super().__init__(["haproxy", "-db", "-f", file], directory)
        wait_until("haproxy listens", lambda: self.is_running() and self.admin.exists())
        for instance in instances:
            self.started(instance)

    @staticmethod
    def missing():
        return None if shutil.which("haproxy") else "haproxy is not installed"

    def state(self, instance):
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(PATIENCE)
            admin.connect(str(self.admin))
            admin.sendall(b"show stat\n")
            text = b"".join(iter(lambda: admin.recv(1 << 16), b"")).decode()
        lines = [line.split(",") for line in text.splitlines()]
        column = lines[0].index("status")
        return next(line[column] for line in lines if line[:2] == ["retortd", instance.name])

    def started(self, instance):
        wait_until(f"haproxy sees {instance.name}", lambda: self.is_running() and self.state(instance) == "UP")


class Nginx(Process):
    """nginx, which has passive checks only, and shows no state."""

    needs_namespace = False

    def __init__(self, title, changes, instances, port, directory):
        self.address = ("127.0.0.1", port)
        text = with_servers(document(title, changes), instances)
        text = re.sub(r"listen .*;", f"listen 127.0.0.1:{port};", text)
        file = Path(directory) / "nginx.conf"
        file.write_text(text)
        settings = f"daemon off; pid {directory}/pid;"
        super().__init__(["nginx", "-e", "stderr", "-g", settings, "-c", file], directory)
        wait_until("nginx listens", lambda: self.is_running() and self.listens())

    @staticmethod
    def missing():
        if not shutil.which("nginx"):
            return "nginx is not installed"
        return None if NGINX_STREAM.exists() else "the stream module of nginx is not installed"

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(self.address) == 0


class KubeProxy:
    """Rules of nftables as kube-proxy writes them: without health checks. An endpoint is removed some time after the
    order to stop, as the news of it takes some time in a cluster."""

    needs_namespace = True
    # How long that news takes, in seconds; chosen: in Kubernetes it is some hundred milliseconds to some seconds.
    LAG = 0.5
    SERVICE = ("192.0.2.1", 8083)

    def __init__(self, title, changes, instances, port, directory):
        self.address, self.endpoints, self.timer = self.SERVICE, list(instances), None
        shown = re.compile(r"ip daddr 192\.0\.2\.1 .*")
        self.apply(shown.sub(self.rule(), document(title, changes)))

    @staticmethod
    def missing():
        tools = [tool for tool in ("unshare", "ip", "nft") if not shutil.which(tool)]
        return f"{tools[0]} is not installed" if tools else None

    def rule(self):
        """The rule of the document, with the endpoints that are left."""
        targets = ", ".join(f"{number} : {end.listeners['frame'][0]}" for number, end in enumerate(self.endpoints))
        choice = f"numgen random mod {len(self.endpoints)} map {{ {targets} }}"
        return f"ip daddr {self.SERVICE[0]} tcp dport {self.SERVICE[1]} dnat to {choice}"

    def apply(self, text):
        run("nft", "-f", "-", input=text)

    def replace(self):
        """One transaction: no connection meets the chain without a rule."""
        self.apply(f"flush chain ip retortd services\nadd rule ip retortd services {self.rule()}\n")

    def stopping(self, instance):
        self.timer = threading.Timer(self.LAG, self.remove, [instance])
        self.timer.start()

    def remove(self, instance):
        self.endpoints.remove(instance)
        self.replace()

    def stopped(self, instance):
        """A new pod is not at the address of one that is still an endpoint."""
        self.timer.join()

    def started(self, instance):
        self.endpoints.append(instance)
        self.replace()

    def close(self):
        if self.timer:
            self.timer.join()


def run(*command, input=None):
    done = subprocess.run(command, input=input, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}{input or ''}")
