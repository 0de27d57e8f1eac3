#!/usr/bin/env bash
# The page of `graph -o html` in a real browser. CHROMIUM names it, else it is looked for; on Debian as root
# it is installed. What drives it comes from npm as tests/page/package-lock.json pins it. Pages and pictures
# are left in target/page.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${TARGET:?run this through make}"
work=$TARGET/page

names=(chromium chromium-browser google-chrome chrome)
[ -z "${CHROMIUM:-}" ] || names=("$CHROMIUM")
find_browser() {
  local name
  for name in "${names[@]}"; do
    command -v "$name" && return
  done
  return 1
}
install_browser() {
  [ -z "${CHROMIUM:-}" ] && [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] || return 1
  echo "installing chromium (once)"
  apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends chromium fonts-dejavu-core
}

if ! find_browser >/dev/null && ! install_browser; then
  echo "missing: Chromium (${names[*]}), looks at the page: the package chromium, or CHROMIUM=/path/to/it" >&2
  exit 1
fi
CHROMIUM=$(find_browser)
if ! command -v npm >/dev/null || ! command -v node >/dev/null || [ "$(node --version | sed 's/^v\([0-9]*\).*/\1/')" -lt 20 ]; then
  echo "missing: Node.js 20 or newer with npm, drives Chromium: the packages nodejs and npm, or https://nodejs.org" >&2
  exit 1
fi

mkdir -p "$work"
if ! cmp -s tests/page/package-lock.json "$work/node_modules/.pinned"; then
  echo "getting what drives the browser (once)"
  cp tests/page/package.json tests/page/package-lock.json "$work"
  (cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error)
  # Written last: what was interrupted is begun again.
  cp tests/page/package-lock.json "$work/node_modules/.pinned"
fi
cp tests/page/*.mjs "$work"

cargo build --quiet --locked
page() { "$TARGET/debug/microservice-operator" graph "${@:2}" -o html >"$work/$1.html"; }
page shop -f examples/shop -n shop
page hub -f examples/antipatterns/fan-in-hub.yaml -n shop
page kinds -f tests/page/kinds.yaml -n shop
node tests/page/system.mjs | page large -f -
PAGES=$work CHROMIUM=$CHROMIUM node --test "$work/page.test.mjs"
echo "pictures: $work/*.png"
