#!/bin/bash
# Validates the manifest against the schemas of Kubernetes from 1.30 on that kubernetes-validate
# (https://pypi.org/project/kubernetes-validate) has. tests/kubernetes.rs tests what a schema does not say.
set -euo pipefail
cd "$(dirname "$0")/.."
manifest=packaging/kubernetes/retortd.yaml
oldest=1.30 # the oldest release that the manifest names

validate=$(command -v kubernetes-validate) || exec tests/skip kubernetes.sh "kubernetes-validate is not installed"
# The interpreter of the program is that of the environment in which its package is installed.
python=$(sed -n '1 s/^#!//p' "$validate")
newest=$("$python" -c 'import kubernetes_validate; print(kubernetes_validate.latest_version())' | cut -d. -f1,2)

misspelt=$(mktemp --suffix=.yaml)
trap 'rm -f "$misspelt"' EXIT
sed 's/maxUnavailable:/maxUnavailabel:/' $manifest >"$misspelt"
count=0
for minor in $(seq "${oldest#1.}" "${newest#1.}"); do
  "$validate" --strict --quiet --kubernetes-version "1.$minor" $manifest
  ! "$validate" --strict --quiet --kubernetes-version "1.$minor" "$misspelt" >/dev/null 2>&1 ||
    { echo "kubernetes.sh: 1.$minor: a misspelt field is valid" >&2; exit 1; }
  count=$((count + 1))
done
[ $count -gt 0 ] || { echo "kubernetes.sh: no schema from $oldest on: the newest is $newest" >&2; exit 1; }
echo "kubernetes.sh: $oldest to $newest"
