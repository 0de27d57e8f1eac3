#!/usr/bin/env bash
# The checklist of a release, as commands. `make release-version VERSION=0.2.0` writes the version where it stands;
# `release.sh check` says what is missing; `release.sh build` makes everything that is published, below
# target/release-VERSION, with checksums. Nothing is published by it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${TARGET:?run this through make}" "${TOOLS:?run this through make}"
charts=(charts/microservice-operator charts/microservice-operator-crds)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

write_version() {
  [[ $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || { echo "$1 is not a version, such as 1.2.3" >&2; exit 2; }
  sed -i "0,/^version = .*/s//version = \"$1\"/" Cargo.toml
  sed -i "s/^version: .*/version: $1/; s/^appVersion: .*/appVersion: $1/" "${charts[@]/%//Chart.yaml}"
  cargo update --quiet --offline --workspace
  echo "version $1; now move what is under Unreleased in CHANGELOG.md to a section of its own"
}

check() {
  local wrong=0
  say() { printf 'not ready: %s\n' "$1" >&2; wrong=1; }
  [ -z "$(git status --porcelain)" ] || say "uncommitted changes"
  grep -q "^## $version\b" CHANGELOG.md || say "CHANGELOG.md has no section \"## $version\""
  for chart in "${charts[@]}"; do
    grep -qx "appVersion: $version" "$chart/Chart.yaml" || say "$chart/Chart.yaml has another appVersion"
  done
  grep -q "^name = \"microservice-operator\"" Cargo.lock || say "Cargo.lock"
  [ "$(cargo metadata --locked --offline --no-deps --format-version 1 | grep -o "\"version\":\"$version\"" | head -n 1)" ] ||
    say "Cargo.lock is not up to date"
  ! git rev-parse --quiet --verify "refs/tags/v$version" >/dev/null || say "the tag v$version exists"
  [ "$wrong" = 0 ] && echo "ready for $version: \`make test\` on this commit, then \`make release\`, then git tag v$version"
  return "$wrong"
}

build() {
  local out=$TARGET/release-$version
  rm -rf "$out"
  mkdir -p "$out"
  scripts/image.sh "$out/microservice-operator-$version-oci.tar"
  for chart in "${charts[@]}"; do "$TOOLS/helm" package "$chart" --destination "$out"; done
  cargo run --quiet --locked -- crd >"$out/crds.yaml"
  cargo run --quiet --locked -- rbac >"$out/rbac.yaml"
  "$TOOLS/bin/cargo-deny" --all-features list --layout crate --format human >"$out/licences.txt"
  "$TOOLS/bin/cargo-cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 --override-filename sbom
  mv sbom.json "$out/sbom.cdx.json"
  (cd "$out" && sha256sum -- * >SHA256SUMS)
  ls -l "$out"
}

case ${1:-} in
  version) write_version "${2:?which one? make release-version VERSION=0.2.0}" ;;
  check) check ;;
  build) build ;;
  *) echo "usage: release.sh version VERSION | check | build" >&2; exit 2 ;;
esac
