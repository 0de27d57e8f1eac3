#!/usr/bin/env bash
# Installs version $2 of the cargo command $1 as the file $3 (DIR/bin/$1). Cold: several minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
crate=$1 version=$2 file=$3
root=$(dirname "$(dirname "$file")")
scripts/toolchain.sh cargo

case $("$file" --version 2>/dev/null) in
  "$crate $version" | "$crate v$version" | "$crate-${crate#cargo-} $version") ;;
  *)
    echo "building $crate $version (once)"
    cargo install --quiet --locked --version "$version" --root "$root" --target-dir "$root/build-$crate" "$crate"
    rm -rf "$root/build-$crate"
    ;;
esac
touch "$file"
