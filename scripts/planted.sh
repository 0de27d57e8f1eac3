#!/usr/bin/env bash
# Proves that the harness sees: plants each bug of tests/planted/ into a copy of the sources, runs the chains and
# the sweeps of the model tests, the selection of `make faults`, the unit tests and the behaviour tests until one of them fails, and
# says which did. $1: a part of a name, for some of them only. Two hours for all on two cores that do nothing else; the copy is below
# the target directory.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
: "${TARGET:?run this through make}" "${TOOLS:?run this through make}"
only=${1:-}
compgen -G "tests/planted/*$only*.patch" >/dev/null || {
  echo "no planted bug has $only in its name; there are: $(basename -s .patch tests/planted/*.patch | tr '\n' ' ')" >&2
  exit 1
}
root=$PWD copy=$TARGET/planted/copy results=$TARGET/planted/results
export CARGO_TARGET_DIR=$TARGET/planted/target
# The same cases in every run, see scripts/test.sh; that one fails is enough, the smallest need not be found.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-20260101} PROPTEST_MAX_SHRINK_ITERS=0 MODEL_CHAINS=${MODEL_CHAINS:-1000} RUST_BACKTRACE=0
rm -rf "$results" "$copy"
mkdir -p "$copy" "$results" "$CARGO_TARGET_DIR"
ln -sfn "$TOOLS" "$CARGO_TARGET_DIR/tools"
git ls-files -z | tar --create --null --files-from=- | tar --extract --touch --directory="$copy"

# The copy is no part of the repository around it.
patched() { # OPTION... PATCH
  GIT_CEILING_DIRECTORIES=$TARGET/planted git -C "$copy" apply "$@"
}

# detect NAME COMMAND...: whether the command fails.
detect() {
  local name=$1
  shift
  (cd "$copy" && "$@") >"$results/$bug.$name.txt" 2>&1 && return 1
  # That a test failed is what is looked for; that none could be run is not.
  grep -E '^error' "$results/$bug.$name.txt" | grep -qv '^error: test failed' || return 0
  echo "$bug: the tests could not be run, see $results/$bug.$name.txt" >&2
  exit 1
}

# What finds the bug in the copy, the quickest look first.
look() {
  if detect chains cargo test --quiet --locked --test model every_chain; then
    by="chains"
  elif detect sweeps cargo test --quiet --locked --test model -- --skip every_chain; then
    by="sweeps"
  elif detect faults cargo test --quiet --locked --test faults; then
    by="faults"
  elif detect units cargo test --quiet --locked --lib; then
    by="units"
  elif detect behaviour cargo test --quiet --locked --test behaviour; then
    by="behaviour"
  else
    by=nobody
  fi
}

# Whoever cries without a reason has found nothing.
bug=none
look
[ "$by" = nobody ] || { echo "$by failed without any bug: see $results/none.$by.txt" >&2; exit 1; }

found=0 all=0
for patch in tests/planted/*"$only"*.patch; do
  bug=$(basename "$patch" .patch) start=$SECONDS
  patched "$root/$patch" || { echo "$patch does not fit the sources any more" >&2; exit 1; }
  look
  patched --reverse "$root/$patch" || exit 1
  all=$((all + 1))
  [ "$by" = nobody ] || found=$((found + 1))
  printf '%-36s %-9s %4d s  %s\n' "$bug" "$by" $((SECONDS - start)) "$(head -n 1 "$patch")"
done
echo "$found of $all planted bugs were detected"
[ "$found" -ge $((all - all / 20)) ]
