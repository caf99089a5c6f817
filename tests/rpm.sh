#!/bin/bash
# Checks the RPM package against the Debian package: rpm.sh PACKAGE.rpm PACKAGE.deb.
# rpmlint is silent; each file of one package is in the other one (packaging/rpm/paths says where); the scriptlets are
# shell, with their macros expanded; the license tag names the license of each crate; as root, the package is installed
# into an empty directory, and the programs start from there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "rpm.sh: $*" >&2; exit 1; }
[ $# = 2 ] || fail "usage: rpm.sh PACKAGE.rpm PACKAGE.deb"
for program in rpmlint rpm dpkg-deb; do
  command -v $program >/dev/null || exec "$here/skip" rpm.sh "$program is not installed"
done
rpm=$(realpath "$1") deb=$(realpath "$2")
cd "$here/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

rpmlint --strict --config packaging/rpm/rpmlint.toml packaging/rpm/retortd.spec "$rpm" >"$scratch/rpmlint" 2>&1 ||
  fail "rpmlint: $(cat "$scratch/rpmlint")"

# Files and links, without directories. On Debian 12 units are below /lib, which is a link to /usr/lib. debhelper
# compresses long documents.
dpkg-deb --fsys-tarfile "$deb" | tar --list --file=- | sed -nE 's|^\./(.*[^/])$|/\1|p' |
  sed -E -e 's|^/lib/|/usr/lib/|' -e 's|^(/usr/share/doc/.*)\.gz$|\1|' | sort >"$scratch/deb"
rpm --query --package --queryformat '[%{FILEMODES:perms} %{FILENAMES}\n]' "$rpm" |
  sed -n 's/^[^d][^ ]* //p' | sort >"$scratch/rpm"

# Prints the list of files FROM (deb or rpm) as the other package has it. A line of the map is used for the files that
# begin with it, or are equal to it; if TO is a hyphen, these are left out.
translate() { # COLUMN-OF-FROM COLUMN-OF-TO
  awk -v from="$1" -v to="$2" '
    NR == FNR { if (NF == 2 && $1 !~ /^#/ && $from != "-") map[$from] = $to; next }
    { path = $0
      for (prefix in map)
        if (path == prefix || (prefix ~ /\/$/ && index(path, prefix) == 1))
          path = map[prefix] == "-" ? "" : map[prefix] substr($0, length(prefix) + 1)
      if (path != "") print path }' packaging/rpm/paths -
}
for direction in "1 2 deb rpm" "2 1 rpm deb"; do
  read -r from to one other <<<"$direction"
  # what the other package alone has is in no map of this one
  missing=$(comm -23 <(translate "$from" "$to" <"$scratch/$one" | sort) "$scratch/$other")
  [ -z "$missing" ] || fail "the .$other lacks what the .$one has: $missing"
done
while read -r in_deb in_rpm; do
  [ "$in_deb" = - ] || grep -qF -- "$in_deb" "$scratch/deb" || fail "packaging/rpm/paths: the .deb has no $in_deb"
  [ "$in_rpm" = - ] || [ "$in_deb" = - ] || grep -qF -- "$in_rpm" "$scratch/rpm" ||
    fail "packaging/rpm/paths: the .rpm has no $in_rpm"
done < <(grep -E '^[-/]' packaging/rpm/paths)

for tag in POSTIN PREUN POSTUN; do
  rpm --query --package --queryformat "%{$tag}" "$rpm" >"$scratch/$tag"
  [ -s "$scratch/$tag" ] || fail "there is no scriptlet $tag"
  if grep -n '%' "$scratch/$tag"; then fail "the scriptlet $tag has macros that were not expanded"; fi
  sh -n "$scratch/$tag" || fail "the scriptlet $tag is no shell script"
done

license=$(rpm --query --package --queryformat '%{LICENSE}' "$rpm")
while read -r stated; do
  # as the crates state them: also MIT/Apache-2.0, and in either order
  terms=${stated//\// OR } reversed=$(sed -E 's/^([^ ]+) OR ([^ ]+)$/\2 OR \1/' <<<"$terms")
  case " AND $license AND " in
    *" AND $terms AND "* | *"($terms)"* | *"($reversed)"*) ;;
    *) fail "the license tag does not name a license of crates: $terms" ;;
  esac
done < <(packaging/crates | sed -nE 's/^[^ ]+ [0-9][^ ]*: //p' | sort -u)

if [ "$(id -u)" = 0 ]; then
  root=$scratch/root
  mkdir "$root"
  rpm --root "$root" --nodeps --noscripts --install "$rpm"
  version=$(packaging/version)
  for program in sbin/retortd bin/retort; do
    [ "$("$root/usr/$program" --version)" = "${program#*/} $version" ] || fail "$program does not start"
  done
  "$root/usr/sbin/retortd" --settings "$root/etc/sysconfig/retortd" --check >/dev/null
  others=$(grep -rlE '/etc/default|/usr/local' "$root/usr/lib/systemd" "$root/etc" || true)
  [ -z "$others" ] || fail "these name paths that the package does not have: $others"
fi
echo "rpm.sh: $(wc -l <"$scratch/rpm") files"
