#!/usr/bin/env bash
# Builds the image without a container engine: a static binary in one layer, as an OCI archive $1, which
# podman, skopeo and containerd load. The same sources give the same digest. Linux only.
#
# The binary is linked against musl where Rust has that target (rustup target add …-linux-musl, and musl's
# headers); else statically against glibc, which looks names up in DNS alone only if the system has its
# static parts; use that one to try things.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${TARGET:?run this through make}"
output=$1
scripts/toolchain.sh cargo

name=microservice-operator
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
machine=$(uname -m)
case $machine in
  x86_64) architecture=amd64 ;;
  aarch64) architecture=arm64 ;;
  *) echo "no image for $machine: build on x86_64 or aarch64" >&2; exit 1 ;;
esac
if [ -d "$(rustc --print sysroot)/lib/rustlib/$machine-unknown-linux-musl" ]; then
  triple=$machine-unknown-linux-musl
else
  triple=$machine-unknown-linux-gnu
fi
echo "building $name $version for $triple (the first time takes some minutes)"
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
  cargo build --quiet --release --locked --bin "$name" --target "$triple"
binary=$TARGET/$triple/release/$name
size=$(stat -c %s "$binary")
[ "$size" -le 20000000 ] || { echo "the binary has grown to $size bytes: 20 MB is the most that is pulled to every cluster" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root layout=$work/layout
mkdir -p "$root" "$layout/blobs/sha256"
install -m 0755 "$binary" "$root/$name"
install -m 0644 LICENSE "$root/LICENSE"
# The time of the last commit, so that the same sources give the same image.
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
pack() { tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" --directory "$1" .; }
digest() { sha256sum "$1" | cut -d ' ' -f 1; }
store() { # FILE: moves it to its digest and says that
  local sum
  sum=$(digest "$1")
  mv "$1" "$layout/blobs/sha256/$sum"
  echo "$sum"
}

pack "$root" >"$work/layer.tar"
diff=$(digest "$work/layer.tar")
gzip -n -9 <"$work/layer.tar" >"$work/layer.gz"
size=$(stat -c %s "$work/layer.gz")
layer=$(store "$work/layer.gz")
cat >"$work/config" <<JSON
{"created":"$created","architecture":"$architecture","os":"linux","config":{"User":"65532:65532","Env":["MIMALLOC_PURGE_DELAY=0"],"ExposedPorts":{"8080/tcp":{}},"Entrypoint":["/$name"],"Cmd":["run"],"Labels":{"org.opencontainers.image.title":"$name","org.opencontainers.image.version":"$version","org.opencontainers.image.revision":"$(git rev-parse HEAD)","org.opencontainers.image.licenses":"Apache-2.0"}},"rootfs":{"type":"layers","diff_ids":["sha256:$diff"]},"history":[{"created":"$created","created_by":"scripts/image.sh"}]}
JSON
config_size=$(stat -c %s "$work/config")
config=$(store "$work/config")
cat >"$work/manifest" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$config","size":$config_size},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:$layer","size":$size}]}
JSON
manifest_size=$(stat -c %s "$work/manifest")
manifest=$(store "$work/manifest")
cat >"$layout/index.json" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$manifest","size":$manifest_size,"platform":{"architecture":"$architecture","os":"linux"},"annotations":{"org.opencontainers.image.ref.name":"$version"}}]}
JSON
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"

mkdir -p "$(dirname "$output")"
pack "$layout" >"$output"
echo "$output"
echo "image: $name:$version for linux/$architecture, sha256:$manifest, binary $(($(stat -c %s "$binary") / 1024)) KiB"
