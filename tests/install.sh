#!/bin/bash
# Checks `make install` and `make uninstall`, with empty files in place of what `make build` builds: nothing is installed
# when a file is missing, and the installed files name the paths of their own prefix.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/source"
cp -r Makefile packaging systemd "$scratch/source"
cd "$scratch/source"
unset CARGO_TARGET_DIR MAKEFLAGS MAKELEVEL

fail() { echo "install.sh: $*" >&2; exit 1; }
# The files below a directory, one a line.
files() { (cd "$1" && find . -type f | sort); }
in_tree() { make --silent "$1" DESTDIR="$scratch/$2" prefix="$3" CARGO=false; }

mkdir -p target/release target/completions
touch target/release/retortd target/completions/{retortd,retort}.{bash,fish} target/completions/_retort{,d}
output=$(in_tree install early /usr/local 2>&1) && fail "it succeeds without target/release/retort"
[[ $output == *"target/release/retort is missing; run \`make build\` first"* ]] || fail "without a program it says: $output"
[ ! -e "$scratch/early" ] || fail "it installs a part before it fails: $(files "$scratch/early")"

touch target/release/retort
for prefix in /usr /usr/local /opt/retortd; do
  root=$scratch/root$prefix
  in_tree install "root$prefix" $prefix
  etc=$([ $prefix = /usr ] && echo /etc || echo $prefix/etc)
  programs=$(grep -rhoP '/[^ ]*/retortd(?![\w.-])' "$root$prefix/lib/systemd" | sort -u)
  [ "$programs" = "$(printf '%s\n' "$prefix/sbin/retortd" "$etc/default/retortd" | sort)" ] ||
    fail "under $prefix the units name $programs"
  grep -q "$etc/default/retortd" "$root$prefix/share/man/man8/retortd.8" || fail "under $prefix the man page names other settings"
  grep -q "$etc/retortd.quotes" "$root$etc/default/retortd" || fail "under $prefix the settings name other quotes"
  if [ $prefix != /usr ]; then
    others=$(grep -rnE '(^|[^A-Za-z])/(usr/sbin|etc/default|etc/retortd)' "$root" || true)
    [ -z "$others" ] || fail "under $prefix there are other paths: $others"
  fi
  [ "$(files "$root" | grep -c "\.$prefix/lib/systemd/system-preset/90-retortd.preset")" = 1 ] || fail "under $prefix no preset"

  echo RETORTD_VERBOSE=1 >"$root$etc/default/retortd"
  in_tree install "root$prefix" $prefix
  grep -qx RETORTD_VERBOSE=1 "$root$etc/default/retortd" || fail "it replaces the settings"
  in_tree uninstall "root$prefix" $prefix
  [ "$(files "$root")" = ".$etc/default/retortd" ] || fail "uninstall keeps $(files "$root")"
done
# The RPM package has its settings in /etc/sysconfig.
make --silent install DESTDIR="$scratch/rpm" prefix=/usr settingsdir=/etc/sysconfig CARGO=false
[ -e "$scratch/rpm/etc/sysconfig/retortd" ] || fail "the settings are not in settingsdir"
others=$(grep -rn 'etc/default' "$scratch/rpm" || true)
[ -z "$others" ] || fail "with another settingsdir there are other paths: $others"
echo "install.sh: 3 prefixes"
