#!/bin/bash
# Checks that the man pages are formatted without a warning, and name the version of the package.
set -euo pipefail
cd "$(dirname "$0")/../packaging/man"
command -v man >/dev/null || exec ../../tests/skip manuals.sh "man is not installed"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' ../../Cargo.toml | head -n 1)

for page in *.[1-8]; do
  warnings=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "./$page" 2>&1 >/dev/null)
  [ -z "$warnings" ] || { echo "manuals.sh: $page: $warnings" >&2; exit 1; }
  grep -qE "^\.TH .* \"retortd $version\"" "$page" || { echo "manuals.sh: $page is not of $version" >&2; exit 1; }
done
pages=(./*.[1-8])
echo "manuals.sh: ${#pages[@]} pages"
