#!/bin/bash
# Tests the container image: image.sh ARCHIVE, an OCI archive of packaging/build-image. As root it runs the programs in
# an empty root directory and, where podman can run a container, in a container without rights.
set -euo pipefail
cd "$(dirname "$0")/.."
archive=${1:?image.sh ARCHIVE}

skip() { tests/skip image.sh "$1"; exit 0; }
fail() { echo "image.sh: $*" >&2; exit 1; }

# unpack ARCHIVE DIRECTORY: config.json, name and root/.
unpack() {
  mkdir -p "$2/oci" "$2/root"
  tar --extract --file="$1" --directory="$2/oci"
  python3 - "$2" <<'PYTHON'
import json, shutil, subprocess, sys
directory = sys.argv[1]
path = lambda digest: f"{directory}/oci/blobs/{digest.replace(':', '/')}"
[entry] = json.load(open(f"{directory}/oci/index.json"))["manifests"]
manifest = json.load(open(path(entry["digest"])))
shutil.copy(path(manifest["config"]["digest"]), f"{directory}/config.json")
open(f"{directory}/name", "w").write(entry["annotations"]["org.opencontainers.image.ref.name"])
for layer in manifest["layers"]:
    subprocess.run(["tar", "-xf", path(layer["digest"]), "-C", f"{directory}/root"], check=True)
PYTHON
}

test_config() { # DIRECTORY
  python3 - "$1/config.json" "$(packaging/version)" <<'PYTHON'
import json, re, sys
image = json.load(open(sys.argv[1]))
config = image["config"]
expected = {"User": "65532:65532", "Entrypoint": ["/retortd"], "StopSignal": "SIGTERM",
            "ExposedPorts": {"8083/tcp": {}, "9383/tcp": {}}}
assert {key: config.get(key) for key in expected} == expected, config
assert not config.get("Cmd") and not config.get("Volumes"), config
labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
assert (labels["title"], labels["version"], labels["licenses"]) == ("retortd", sys.argv[2], "MIT OR Apache-2.0"), labels
assert "daemon" in labels["description"], labels
assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels.get("revision", "0" * 40)), labels
times = {labels["created"], image["created"], *(step["created"] for step in image["history"])}
assert len(times) == 1 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["created"]), times
assert len(image["rootfs"]["diff_ids"]) == 1, image["rootfs"]
PYTHON
}

test_files() { # DIRECTORY
  local files expected
  files=$(cd "$1/root" && find . -mindepth 1 -printf '%m %P\n' | sort)
  expected=$(printf '%s\n' '755 licenses' 644\ licenses/{LICENSE-APACHE,LICENSE-MIT,crates} 755\ retort{,d} | sort)
  [ "$files" = "$expected" ] || fail "the image has other files: $files"
  grep -q '^nix [0-9]' "$1/root/licenses/crates" || fail "the list of crates lacks nix"
  for program in retortd retort; do
    ! readelf --program-headers --wide "$1/root/$program" | grep INTERP || fail "$program needs a dynamic linker"
    ! readelf --dynamic --wide "$1/root/$program" | grep NEEDED || fail "$program needs a library"
    ! grep -aFq "$PWD/" "$1/root/$program" || fail "$program contains $PWD, and differs elsewhere"
  done
}

# The same source makes the same bytes, and the date can be given.
test_repetition() {
  SOURCE_DATE_EPOCH='' packaging/build-image "$scratch/again" "$(<"$scratch/name")" >/dev/null
  cmp "$archive" "$scratch"/again/*.oci.tar || fail "a second build differs"
  SOURCE_DATE_EPOCH=1000000000 packaging/build-image "$scratch/dated" >/dev/null
  unpack "$scratch"/dated/*.oci.tar "$scratch/dated"
  grep -q '"org.opencontainers.image.created":"2001-09-09T01:46:40Z"' "$scratch/dated/config.json" ||
    fail "SOURCE_DATE_EPOCH is not the date of the image"
}

# Reads from a descriptor up to the line that names the listener of frame, and prints its port.
port_in() {
  local line
  while read -r -t 20 line; do
    [[ $line != *"listening on frame="* ]] || { echo "${line##*:}"; return; }
  done <&"$1"
  fail "the daemon does not listen: ${line:-}"
}

test_empty_root() {
  local in_root=(chroot --userspec=65532:65532 "$scratch/root") log port status=0
  "${in_root[@]}" /retortd --version | grep -qx "retortd $(packaging/version)" || fail "--version in an empty root"
  "${in_root[@]}" /retortd --list | grep -q '^frame ' || fail "--list in an empty root"
  exec {log}< <(echo $BASHPID && exec "${in_root[@]}" /retortd -v --listen frame=127.0.0.1:0 2>&1)
  read -r pid <&$log
  port=$(port_in $log)
  "$scratch/root/retort" check "127.0.0.1:$port" >"$scratch/checks" || { cat "$scratch/checks"; fail "retort check"; }
  "${in_root[@]}" /retort ping -q -c 1 "127.0.0.1:$port" >/dev/null || fail "retort ping 127.0.0.1 in an empty root"
  ! "${in_root[@]}" /retort ping -q -c 1 "localhost:$port" >/dev/null 2>&1 ||
    fail "localhost resolves in an empty root: correct docs/containers.md"
  kill -TERM "$pid"
  wait "$pid" || status=$?
  pid=
  [ $status = 0 ] || fail "exit status $status after SIGTERM: $(cat <&$log)"
  exec {log}<&-
}

podman() { command podman --root "$scratch/storage" --runroot "$scratch/run" --storage-driver vfs "$@"; }

# Starts a container without rights, in the network of the caller: start NAME ARGUMENT...
# The limits and the missing control group let crun do without CAP_SYS_RESOURCE, which it has on a whole machine only.
start() {
  podman run --detach --name "$1" --network host --log-driver k8s-file --cgroups disabled \
    --ulimit nofile=4096:4096 --ulimit nproc=1024:1024 \
    --read-only --read-only-tmpfs=false --cap-drop all --security-opt no-new-privileges \
    "$(<"$scratch/name")" "${@:2}" >"$scratch/podman" 2>&1
}

test_container() {
  local name=retortd log pid line state
  start $name -v || skip "podman runs no container here: $(tail -n 1 "$scratch/podman")"
  exec {log}< <(podman logs --follow $name 2>&1)
  [ "$(port_in $log)" = 8083 ] || fail "another port than 8083"
  pid=$(podman inspect --format '{{.State.Pid}}' $name)
  for line in $'Uid:\t65532\t65532\t65532\t65532' $'CapEff:\t0000000000000000' $'NoNewPrivs:\t1'; do
    grep -qxF "$line" "/proc/$pid/status" || fail "no such line in the status of the process: $line"
  done
  "$scratch/root/retort" check 127.0.0.1:8083 >"$scratch/checks" || { cat "$scratch/checks"; fail "check in podman"; }
  podman exec $name /retort ping -q -c 1 127.0.0.1:8083 >/dev/null || fail "retort ping in the container"
  podman stop $name >/dev/null
  state=$(podman inspect --format '{{.State.Status}} {{.State.ExitCode}}' $name)
  [ "$state" = "exited 0" ] || fail "podman stop: $state"
  # it stopped by itself, before the ten seconds after which podman kills
  podman logs $name 2>&1 | grep -q 'statistics: accepted' || fail "no statistics at the end"
}

# The status of the reply to a probe, as the kubelet sends it.
probe() {
  local connection status
  exec {connection}<>/dev/tcp/127.0.0.1/9383
  printf 'GET %s HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n' "$1" >&$connection
  read -r _ status _ <&$connection
  echo "$status"
}

# The image as the manifest starts it, with its probes, and the stop of a pod.
test_manifest() {
  local name=pod arguments log path status
  mapfile -t arguments < <(sed -n 's/^ *- \(--.*\)/\1/p' packaging/kubernetes/retortd.yaml)
  start $name "${arguments[@]}" -v || fail "with the arguments of the manifest: $(<"$scratch/podman")"
  exec {log}< <(podman logs --follow $name 2>&1)
  [ "$(port_in $log)" = 8083 ] || fail "another port than 8083"
  for path in /readyz /livez /metrics; do
    status=$(probe $path) || fail "no connection for $path"
    [ "$status" = 200 ] || fail "$path: $status"
  done
  podman kill --signal TERM $name >/dev/null
  # the signal takes a moment; after the delay there is no connection
  while status=$(probe /readyz) && [ "$status" = 200 ]; do :; done
  [ "$status" = 503 ] || fail "/readyz while stopping: ${status:-no connection}"
  [ "$(probe /livez)" = 200 ] || fail "/livez fails while stopping"
  "$scratch/root/retort" ping -q -c 1 127.0.0.1:8083 >/dev/null || fail "a new client is not served in the drain delay"
  [ "$(podman wait $name)" = 0 ] || fail "exit status after SIGTERM: $(podman logs $name 2>&1 | tail -n 1)"
}

# In namespaces of its own: the container shares the network, where the ports are free, and whatever podman started ends
# with the namespace of processes.
if [ "${2:-}" = --container ]; then
  scratch=$3
  # crun takes cgroups of version 2 alone, so replace the mix of both versions in this namespace
  if [ "$(stat --file-system --format=%T /sys/fs/cgroup)" != cgroup2fs ]; then
    { umount --recursive /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup; } ||
      skip "podman requires control groups of version 2"
  fi
  ip link set lo up
  podman load --quiet --input "$archive" >/dev/null
  test_container
  echo "image.sh: container of podman"
  test_manifest
  echo "image.sh: container of the manifest"
  exit
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/retortd-image.XXXXXX")
pid= # of the daemon in the empty root directory
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$scratch"' EXIT
unpack "$archive" "$scratch"
test_config "$scratch"
test_files "$scratch"
test_repetition
echo "image.sh: configuration, files, repetition"
[ "$(id -u)" = 0 ] || skip "not root"
test_empty_root
echo "image.sh: empty root directory"
command -v podman >/dev/null || skip "podman is not installed"
unshare --mount --net --pid --fork --mount-proc tests/image.sh "$archive" --container "$scratch"
