#!/usr/bin/env bash
# Builds the pages of docs/ and what they link to as one site that needs no network, in the directory $1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${TOOLS:?run this through make}"
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/src"
git ls-files -z | xargs -0 cp --parents --target-directory "$work/src"
# The table of contents is at the top there: what the pages link to lies beside docs/, not below it.
sed -e 's#](\.\./#](#' -e 't' -e 's#](\([a-z]\)#](docs/\1#' docs/SUMMARY.md >"$work/src/SUMMARY.md"
rm "$work/src/docs/SUMMARY.md"
cat >"$work/book.toml" <<'TOML'
[book]
title = "microservice-operator"
language = "en"

[output.html]
no-section-label = true
TOML
"$TOOLS/bin/mdbook" build "$work" --dest-dir "$out"
echo "$out/README.html"
