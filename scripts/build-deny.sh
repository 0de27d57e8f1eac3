#!/usr/bin/env bash
# Installs cargo-deny as the file $1 (DIR/bin/cargo-deny). Cold: several minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=0.20.2
root=$(dirname "$(dirname "$1")")
scripts/toolchain.sh cargo

if [ "$("$1" --version 2>/dev/null)" != "cargo-deny $version" ]; then
  echo "building cargo-deny $version (once)"
  cargo install --quiet --locked --version "$version" --root "$root" --target-dir "$root/build" cargo-deny
  rm -rf "$root/build"
fi
touch "$1"
