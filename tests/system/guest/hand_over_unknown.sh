#!/bin/bash
# A stored state that the next process does not know, as after a downgrade, or that is damaged: everything in it is closed,
# with one warning, and the service starts as without.
. "$(dirname "$0")/lib.sh"

# In place of retortd: accepts the client, and stores what its argument says as the service would.
cat >/usr/local/lib/predecessor.py <<'PYTHON'
import array, fcntl, os, signal, socket, sys

F_ADD_SEALS, ALL_SEALS = 1033, 0xf
signal.signal(signal.SIGTERM, lambda *_: os._exit(75))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
listener = socket.socket(fileno=3)
client, _ = listener.accept()

def descriptors(*those):
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [each.fileno() for each in those]))]

def state(content, seals=ALL_SEALS):
    file = os.fdopen(os.memfd_create("state", os.MFD_ALLOW_SEALING), "wb", buffering=0)
    file.write(content)
    if seals:
        fcntl.fcntl(file, F_ADD_SEALS, seals)
    return file

def carrier(*messages):
    mine, stored = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for payload, *those in messages:
        mine.sendmsg([payload], descriptors(*those) if those else [])
    return stored

connections = b"connections", client
stored = {
    "version": lambda: carrier((b"state 999\n", state(b"{}\n")), (b"listeners",), connections),
    "empty": lambda: carrier(),
    "connections": lambda: carrier(connections),
    "garbage": lambda: carrier((bytes(1000),), connections),
    "nothing": lambda: carrier((b"state 2\n", state(b"")), (b"listeners",), connections),
    "text": lambda: carrier((b"state 2\n", state(b"not JSON\n")), (b"listeners",), connections),
    "zeros": lambda: carrier((b"state 2\n", state(bytes(1 << 20))), (b"listeners",), connections),
    "unsealed": lambda: carrier((b"state 2\n", state(b"{}\n", 0)), (b"listeners",), connections),
    "listener": lambda: carrier((b"state 2\n", listener), connections),
    "socket": lambda: client,
}[sys.argv[1]]()
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ["NOTIFY_SOCKET"])
notify.sendmsg([b"FDSTORE=1\nFDPOLL=0\nFDNAME=hand-over"], descriptors(stored))
notify.send(b"READY=1")
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
while True:
    signal.pause()
PYTHON

for stored in version empty connections garbage nothing text zeros unsealed listener socket; do
  echo "# $stored"
  systemctl stop --quiet retortd.service
  drop_in retortd.service Service ExecStart= "ExecStart=/usr/bin/python3 /usr/local/lib/predecessor.py $stored"
  exec 7<>/dev/tcp/127.0.0.1/8083
  expect "the other program stores it" soon 10 is retortd.service NFileDescriptorStore 1
  expect "it is ready" soon 10 is retortd.service ActiveState active
  rm /run/systemd/system/retortd.service.d/service.conf
  systemctl daemon-reload
  start=$(now)
  expect "retortd starts" systemctl restart retortd.service
  expect "the client is closed" timeout 5 cat <&7
  exec 7>&-
  equal "others are served" HELLO "$(load request 8083 hello)"
  equal "nothing is stored" 0 "$(stored)"
  equal "there is one warning" 1 "$(logged "$start" --priority=warning --identifier=retortd | wc -l)"
  echo "note: $(logged "$start" --priority=warning --identifier=retortd)"
  equal "SIGUSR2 was not sent to a process that does not catch it" "" "$(logged "$start" --grep=USR2)"
done
