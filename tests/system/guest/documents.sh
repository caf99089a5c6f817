#!/bin/bash
# Every document that the installed README.md links to is installed, under the name in the link, and so are the examples
# for monitoring.
. "$(dirname "$0")/lib.sh"
cd /usr/share/doc/retortd || fail "there is no directory of documents"
mapfile -t links < <(grep -oE '\]\([^)#]+' README.md | cut -c3- | grep -v '://' | sort -u)
expect "README.md has links" test ${#links[@]} -ge 8
for link in "${links[@]}"; do
  expect "$link is installed" test -s "$link"
done
for example in grafana/retortd.json prometheus/alerts.yml prometheus/alerts_test.yml prometheus/prometheus.yml; do
  expect "$example is installed" test -s "examples/$example"
done
