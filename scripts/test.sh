#!/usr/bin/env bash
# Checks and tests. $1 is all, lint, unit, model, fuzz, cluster, faults, skew, kafka, keda, policies, e2e-fast, e2e or availability. Runs
# everything even after a failure, then names what failed and closes with the counts of all test runs.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
: "${TARGET:?run this through make}" "${TOOLS:?run this through make}"
what=${1:-all}
arguments=("${@:2}")
# The same cases in every run: a red run is then about the change, not about luck. Another number looks
# at others: PROPTEST_RNG_SEED=$RANDOM make test-unit
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-20260101}

# A real node, or one in the cluster that somebody offers. Where there is neither nothing is skipped in
# silence: what was not run is not proven.
real_node() {
  [ -z "${TEST_KUBECONFIG:-}" ] || return 0
  [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] && return 0
  echo "$what runs real pods: that needs root on Linux (namespaces, mounts and cgroups of its own; nothing on the host is
changed), or a cluster for tests in TEST_KUBECONFIG, for example of kind: see CONTRIBUTING.md, \"Real pods\"" >&2
  return 1
}
case $what in e2e* | availability) real_node || exit 1 ;; esac

scripts/toolchain.sh cargo || exit 1
case $what in unit | model | fuzz) ;; *) scripts/toolchain.sh go || exit 1 ;; esac
case $what in kafka | keda | e2e* | availability | all) scripts/toolchain.sh java || exit 1 ;; esac
log=$(mktemp) tools_log=$(mktemp) waiting_log=$(mktemp)
tools_pid= waiting_pid=
# What runs in the background does not hear Ctrl-C. Each such job has a process group of its own (set -m), which ends with this
# script. There is no trap for signals: it would wait for the step in the foreground.
finish() {
  local pid
  for pid in $tools_pid $waiting_pid; do kill -TERM -- "-$pid" 2>/dev/null; done
  rm -f "$log" "$tools_log" "$waiting_log"
}
trap finish EXIT
failed=()

# step NAME COMMAND...: shows the output and remembers it for the counts.
step() {
  local name=$1 start=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  if "$@" 2>&1 | tee -a "$log"; then
    printf '== %s: ok, %d s\n' "$name" $((SECONDS - start))
  else
    printf '== %s: FAILED, %d s\n' "$name" $((SECONDS - start))
    failed+=("$name")
  fi
}

# The tools are built beside the Rust code: both have long phases that keep one core busy only. The
# lower priority lets the foreground, whose output people watch, go first.
build_tools() { # TARGET...
  set -m
  nice -n 10 make --no-print-directory "$@" >"$tools_log" 2>&1 </dev/null &
  set +m
  tools_pid=$!
}
await_tools() {
  wait "$tools_pid"
  tools_code=$?
  tools_pid=
  step "tools" report_tools
}
report_tools() {
  cat "$tools_log"
  return "$tools_code"
}

# All test targets but these run without a cluster or a broker, and in seconds: tests/NAME.rs and tests/NAME/main.rs.
offline_targets() {
  local path name
  for path in tests/*.rs tests/*/main.rs; do
    name=${path#tests/}
    name=${name%/main.rs}
    name=${name%.rs}
    case $name in behaviour | faults | fuzz | kafka | keda | model | skew | e2e | autoscaling | availability | enforcement | policies) continue ;; esac
    [ -e "$path" ] && printf -- '--test %s ' "$name"
  done
}

lint() {
  step "format" cargo fmt --check
  step "clippy" cargo clippy --quiet --locked --all-targets -- -D warnings
}
# Of the control plane only our two packages, and of Helm nothing: vetting their main.go would type-check
# all of them for one list of imports.
go_checks() {
  local ours=(tests/cluster tests/node tests/shop tests/broker tests/scan tests/helm tests/health tests/policies tests/enforcer)
  test -z "$(gofmt -l "${ours[@]}")" || { gofmt -d "${ours[@]}"; return 1; }
  export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOWORK=off
  go vet -C tests/cluster ./launcher ./stages && go vet -C tests/broker . && go vet -C tests/shop . && go vet -C tests/scan . && go vet -C tests/health . && go vet -C tests/policies .
}
unit() {
  # shellcheck disable=SC2046 # one word per target is meant
  step "unit, golden and property tests" \
    cargo test --quiet --locked --no-fail-fast --lib --bins $(offline_targets)
  step "documentation examples" cargo test --quiet --locked --doc
}
# Test targets of their own: they take minutes.
model() { step "model tests" cargo test --quiet --locked --test model; }
fuzz() {
  export FUZZ_INPUTS=${FUZZ_INPUTS:-1000000}
  step "fuzz: $FUZZ_INPUTS inputs" cargo test --quiet --locked --no-fail-fast --test fuzz
}
scan() { step "kube-score" scripts/scan.sh; }
health() { step "health in Flux and Argo CD" make --no-print-directory health; }
alerts() { step "alerts" make --no-print-directory alerts; }
rules_of_dependencies() { step "licences, bans, sources" "$TOOLS/bin/cargo-deny" check bans licenses sources; }
policies() { step "network policies" cargo test --quiet --locked --test policies; }
docs() { RUSTDOCFLAGS="-D warnings" step "documentation" cargo doc --quiet --locked --no-deps; }
behaviour() { step "behaviour tests" cargo test --quiet --locked --no-fail-fast --test behaviour; }
run_faults() { cargo test --quiet --locked --test faults -- ${arguments[@]+"${arguments[@]}"}; }
faults() { step "faults" run_faults; }
# Counts decide, so a build without the optimizations of a release will do. It stops and restarts parts of the
# control plane, so it never uses one that somebody offers.
bench() {
  env -u TEST_KUBECONFIG ONLY=quick N=200 cargo bench --quiet --locked --profile dev --bench control_plane
}
# What mostly waits, for silence above all, runs beside what only computes.
start_waiting() {
  set -m
  {
    code=0
    run_faults || code=1
    bench || code=1
    exit "$code"
  } >"$waiting_log" 2>&1 </dev/null &
  set +m
  waiting_pid=$!
}
await_waiting() {
  wait "$waiting_pid"
  waiting_code=$?
  waiting_pid=
  step "faults, and the counts of the bench" report_waiting
}
report_waiting() {
  cat "$waiting_log"
  return "$waiting_code"
}
# Each broker is a Java process; on two cores more than four tests at once only wait for each other.
kafka() {
  step "Kafka tests" cargo test --quiet --locked --no-fail-fast --test kafka -- --test-threads 4
}

# The pods share the cores with the tests: one at a time, or the health checks run late.
e2e() { # TEST TARGET
  step "end-to-end tests: $1" cargo test --quiet --locked --no-fail-fast --test "$1" -- --test-threads 1
}

# A cluster that somebody offers has nodes of its own.
real=(node-tools "$TOOLS/kafka")
[ -z "${TEST_KUBECONFIG:-}" ] || real=("$TOOLS/cluster" "$TOOLS/shop" "$TOOLS/kafka")

case $what in
  unit) unit ;;
  model) model ;;
  fuzz) fuzz ;;
  cluster)
    if [ -z "${TEST_KUBECONFIG:-}" ]; then build_tools cluster-tools chart-tools; else build_tools chart-tools; fi
    await_tools
    behaviour
    ;;
  faults)
    if [ -z "${TEST_KUBECONFIG:-}" ]; then build_tools cluster-tools; await_tools; fi
    faults
    ;;
  skew)
    if [ -n "${TEST_KUBECONFIG:-}" ]; then echo "skew installs kinds of two versions: it never uses a cluster that somebody offers" >&2; exit 1; fi
    build_tools cluster-tools
    await_tools
    OPERATOR_BEFORE=$(scripts/skew.sh ${arguments[@]+"${arguments[@]}"}) || exit 1
    export OPERATOR_BEFORE
    step "two versions" cargo test --quiet --locked --test skew -- --nocapture
    ;;
  kafka)
    if [ -z "${TEST_KUBECONFIG:-}" ]; then build_tools cluster-tools kafka-tools; else build_tools kafka-tools; fi
    await_tools
    kafka
    ;;
  e2e-fast)
    build_tools "${real[@]}"
    await_tools
    e2e e2e
    ;;
  e2e)
    build_tools "${real[@]}" metrics-tools
    await_tools
    e2e e2e
    e2e autoscaling
    e2e enforcement
    ;;
  availability)
    build_tools "${real[@]}"
    await_tools
    step "availability" cargo test --quiet --locked --test availability -- --nocapture
    ;;
  keda)
    build_tools cluster-tools kafka-tools keda-tools
    await_tools
    step "KEDA" cargo test --quiet --locked --test keda
    ;;
  policies) policies ;;
  lint)
    lint
    step "go" go_checks
    scan
    rules_of_dependencies
    ;;
  all)
    build_tools cluster-tools kafka-tools chart-tools "$TOOLS/health" "$TOOLS/policies" "$TOOLS/score" "$TOOLS/bin/cargo-deny"
    lint
    unit
    docs
    await_tools
    start_waiting
    model
    fuzz
    step "go" go_checks
    scan
    health
    alerts
    policies
    rules_of_dependencies
    await_waiting
    behaviour
    kafka
    ;;
  *)
    echo "unknown part $what: all, lint, unit, model, fuzz, cluster, faults, skew, kafka, keda, policies, e2e-fast, e2e or availability" >&2
    exit 2
    ;;
esac

counts=$(awk '/^test result:/ {
  for (i = 2; i <= NF; i++) {
    if ($i ~ /^passed/) passed += $(i - 1)
    if ($i ~ /^failed/) failed += $(i - 1)
  }
} END { printf "%d passed, %d failed", passed, failed }' "$log")
printf '\n'
[ "${#failed[@]}" -eq 0 ] || printf 'FAILED: %s\n' "${failed[@]}"
printf '%s\n' "$counts"
[ "${#failed[@]}" -eq 0 ]
