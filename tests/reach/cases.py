"""The cases: which balancer with which settings, and how the instances behind it are stopped."""

from typing import NamedTuple

from balancers import Haproxy, KubeProxy, Nginx

# Titles of configurations in docs/load-balancers.md.
HAPROXY = "haproxy.cfg: without PROXY headers"
NGINX = "nginx.conf: without PROXY headers"
RULES = "service.nft: what kube-proxy does for a Service with two pods"

# Checks more often than in the document, so that a test need not wait long; a check that waits for an instance must not
# fail because this machine is busy.
OFTEN = [(" check\n", " check inter 200ms fall 2 rise 1\n"), ("    mode tcp\n", "    mode tcp\n    timeout check 5s\n")]
RETRY = [*OFTEN, ("    mode tcp\n", "    mode tcp\n    retries 3\n    option redispatch\n")]
NO_RETRY = [*OFTEN, ("    mode tcp\n", "    mode tcp\n    retries 0\n")]
# By default nginx sends nothing for 10 s to a server that has refused one connection. If all are restarted within that
# time, it has none left.
ALL_LIVE = [(f"server 192.0.2.{number}:8083;", f"server 192.0.2.{number}:8083 max_fails=0;") for number in (11, 12)]

# Seconds between the exit of an instance and its next start, where it is down for long: many checks.
LONG = 3


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


CASES = [
    Case("control", Haproxy, HAPROXY, RETRY, "haproxy, retries 3, no restart", "none", restarts=False),
    Case("haproxy", Haproxy, HAPROXY, RETRY, "haproxy, retries 3, redispatch"),
    Case("haproxy-down", Haproxy, HAPROXY, RETRY, "haproxy, retries 3, redispatch", down=LONG),
    Case("no-retries", Haproxy, HAPROXY, NO_RETRY, "haproxy, retries 0"),
    Case("no-retries-down", Haproxy, HAPROXY, NO_RETRY, "haproxy, retries 0", "some", down=LONG, short=True),
    Case("nginx-defaults", Nginx, NGINX, [], "nginx, max_fails 1"),
    Case("nginx", Nginx, NGINX, ALL_LIVE, "nginx, max_fails 0"),
    Case("nginx-down", Nginx, NGINX, ALL_LIVE, "nginx, max_fails 0", down=LONG),
    Case("kube-proxy", KubeProxy, RULES, [], "nftables, end point removed after 0.5 s", "some", short=True),
]
