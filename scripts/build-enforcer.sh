#!/usr/bin/env bash
# Builds what enforces network policies on the real node into the directory $1: kube-router's controller from
# source, iptables and ipset from Debian's packages, unpacked there and installed nowhere. Cold: two minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/packages.sh
output=$1
programs=(iptables iptables-save iptables-restore ipset)
packages=(iptables ipset libipset13 libip4tc2 libip6tc2 libxtables12 libmnl0)

scripts/build-go.sh tests/enforcer "$output/enforcer" "the enforcer of network policies"
mkdir -p "$output/bin"
if ! has_packages; then
  for name in "${programs[@]}"; do
    path=$(command -v "$name") || { echo "missing: $name; install your system's package of it" >&2; exit 1; }
    ln -sf "$path" "$output/bin/$name"
  done
else
  echo "unpacking iptables and ipset"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  unpack_packages "$work" "$output/lib" "${packages[@]}"
  install "$work/root/usr/sbin/xtables-legacy-multi" "$output/bin/iptables"
  ln -sf iptables "$output/bin/iptables-save"
  ln -sf iptables "$output/bin/iptables-restore"
  install "$(find "$work/root" -path '*bin/ipset' -type f)" "$output/bin/ipset"
  rm -rf "$output/xtables"
  cp -a "$(find "$work/root" -name xtables -type d -path '*lib*')" "$output/xtables"
fi
touch "$output"
