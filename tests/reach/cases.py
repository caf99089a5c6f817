"""The cases: which balancer with which settings, and how the instances behind it are stopped."""

from typing import NamedTuple

from balancers import Haproxy, KubeProxy, Nginx

# Titles of configurations in docs/load-balancers.md: without readiness, and as recommended.
PLAIN = "haproxy.cfg: without PROXY headers"
READY = "haproxy.cfg: rolling restarts"
NGINX_DEFAULTS = "nginx.conf: without PROXY headers"
NGINX = "nginx.conf: rolling restarts"
RULES = "service.nft: what kube-proxy does for a Service with two pods"

# Checks more often than in the document, so that a test need not wait long; a check that waits for an instance must not
# fail because this machine is busy.
PATIENT = ("    mode tcp\n", "    mode tcp\n    timeout check 5s\n")
OFTEN = [PATIENT, (" inter 1s fall 2\n", " inter 200ms fall 2 rise 1\n")]
PLAIN_OFTEN = [PATIENT, (" check\n", " check inter 200ms fall 2 rise 1\n")]
# What is in the recommended configuration, and what is the opposite.
RETRY = "    retries 3\n    option redispatch\n"
NO_RETRY = "    retries 0\n"

# Seconds between the exit of an instance and its next start, where it is down for long: many checks.
LONG = 3
# The drain delay in seconds; chosen: four times the 0.5 s after which haproxy with these checks, or the rules of
# nftables, leave an instance out.
DELAY = 2


class Case(NamedTuple):
    """A rolling restart behind a balancer."""

    name: str
    balancer: type
    document: str
    changes: list
    says: str
    # How many fresh connections fail: "none", "some", or "any number" if that is chance.
    fails: str = "any number"
    # The drain delay, and how long an instance is down, in seconds.
    delay: float = 0
    down: float = 0
    # Whether the case is part of the short form.
    short: bool = False
    restarts: bool = True
    # What each instance listens for, beside the frame protocol.
    side: tuple = ()

    def summary(self):
        """What is done, in a few words."""
        parts = [self.says, f"delay {self.delay} s" if self.delay else "", f"{self.down} s down" if self.down else ""]
        return ", ".join(filter(None, parts))

    def options(self):
        """The options of the daemons, beside their listeners."""
        return [f"--drain-delay={self.delay}s"] if self.delay else []


def plain(retries):
    """Changes of PLAIN."""
    return [*PLAIN_OFTEN, ("    mode tcp\n", f"    mode tcp\n{retries}")]


SINGLE_TRY = [*OFTEN, (RETRY, NO_RETRY)]
# The agent's state instead of readiness; the check itself only connects. The agent's weight is a part of that of the
# server, which is rounded down: of the default, 1, any part is 0.
AGENT = [
    PATIENT,
    ("    option httpchk GET /readyz\n", ""),
    (" inter 1s fall 2\n", " inter 200ms fall 2 rise 1 agent-check agent-inter 200ms\n"),
    (" port 9383\n", " agent-port 9384 weight 100\n"),
    (RETRY, NO_RETRY),
]
METRICS = ("metrics",)
KUBE_PROXY = "nftables, endpoint removed after 0.5 s"

CASES = [
    Case("control", Haproxy, READY, OFTEN, "haproxy, retries 3, no restart", "none", restarts=False, side=METRICS),
    Case("haproxy", Haproxy, PLAIN, plain(RETRY), "haproxy, retries 3"),
    Case("haproxy-down", Haproxy, PLAIN, plain(RETRY), "haproxy, retries 3", down=LONG),
    Case("haproxy-delay", Haproxy, READY, OFTEN, "haproxy, retries 3", "none", DELAY, short=True, side=METRICS),
    Case("retries-0", Haproxy, PLAIN, plain(NO_RETRY), "haproxy, retries 0"),
    Case("retries-0-down", Haproxy, PLAIN, plain(NO_RETRY), "haproxy, retries 0", "some", down=LONG, short=True),
    Case("retries-0-delay", Haproxy, READY, SINGLE_TRY, "haproxy, retries 0", "none", DELAY, LONG, True, side=METRICS),
    Case("agent-delay", Haproxy, READY, AGENT, "haproxy, retries 0, agent-check", "none", DELAY, LONG, side=("agent",)),
    Case("nginx-defaults", Nginx, NGINX_DEFAULTS, [], "nginx, max_fails=1"),
    Case("nginx", Nginx, NGINX, [], "nginx, max_fails=0"),
    Case("nginx-down", Nginx, NGINX, [], "nginx, max_fails=0", down=LONG),
    Case("nginx-delay", Nginx, NGINX, [], "nginx, max_fails=0", "none", DELAY, short=True),
    Case("kube-proxy", KubeProxy, RULES, [], KUBE_PROXY, "some", short=True),
    Case("kube-proxy-delay", KubeProxy, RULES, [], KUBE_PROXY, "none", DELAY, short=True),
]
