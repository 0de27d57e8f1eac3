#!/usr/bin/env bash
# Builds the operator of another commit, $1 (default: the last tag), below the target directory, and prints where it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${TARGET:?run this through make}"
before=${1:-$(git describe --tags --abbrev=0 2>/dev/null || true)}
commit=$(git rev-parse --quiet --verify "$before^{commit}") || {
  echo "which version was before? There is no ${before:-tag}: make skew BEFORE=commit" >&2
  exit 1
}
source=$TARGET/skew/source
rm -rf "$source"
mkdir -p "$source"
git archive "$commit" | tar --extract --touch --directory="$source"
cd "$source"
CARGO_TARGET_DIR=$TARGET/skew/target cargo build --quiet --locked --bin microservice-operator >&2
echo "$TARGET/skew/target/debug/microservice-operator"
