#!/usr/bin/env bash
# kube-score over everything that the examples render to, and over the chart with each set of values.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${TARGET:?run this through make}" "${TOOLS:?run this through make}"
chart=charts/microservice-operator
rendered=$TARGET/scan
rm -rf "$rendered"
mkdir -p "$rendered"
"$TOOLS/helm" template operator "$chart" >"$rendered/chart.yaml"
for values in "$chart"/ci/*-values.yaml; do
  name=$(basename "$values" -values.yaml)
  "$TOOLS/helm" template operator "$chart" --values "$values" >"$rendered/chart-$name.yaml"
done
"$TOOLS/score" tests/scan/exceptions.txt tests/golden/*.yaml "$rendered"/*.yaml
