#!/usr/bin/env bash
# Shows the operator at work on a control plane with simulated nodes and on Kafka brokers in memory: a
# shop of eight services comes up with its topics, one is scaled, one gets a broken image and is repaired,
# one asks for what Kafka cannot do, one is deleted and its messages stay. DEMO_KEEP=1 leaves everything
# running; `demo.sh down` ends what was left. It never looks at KUBECONFIG: the images exist nowhere else. A
# cluster of `make cluster` is used and stays; one with services of somebody is refused.
set -euo pipefail
umask 077
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${TARGET:?run this through make}" "${TOOLS:?run this through make}"

kubectl="$TOOLS/kubectl"
cluster="$TOOLS/cluster"
broker="$TOOLS/broker"
operator="$TARGET/debug/microservice-operator"
state="$TARGET/cluster"
work="$TARGET/demo"
system=microservice-system
shop=shop
services=8
interrupted=130
found=     # whether the cluster is there without the demo
addresses= # of the brokers
export KUBECONFIG="$state/kubeconfig"

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m' tty=1; else bold='' dim='' plain='' tty=; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { # runs a command as a reader would type it
  local word line=
  for word in "$@"; do
    case $word in *[\{\"]*) word="'$word'" ;; esac
    line+=" $word"
  done
  printf '%s$ kubectl%s%s\n' "$dim" "$line" "$plain"
  "$kubectl" "$@"
}
fail() { printf '\n%s\n' "$*" >&2; exit 1; }

# The operator and the brokers are stopped by the process id that each was started with, if that is
# still it.
arguments() {
  case $1 in
    operator) echo "$operator run" ;;
    broker) echo "$broker serve" ;;
  esac
}
pid_of() {
  local pid
  pid=$(cat "$work/$1.pid" 2>/dev/null) || return 1
  ps -o args= -p "$pid" 2>/dev/null | grep -qF "$(arguments "$1")" && echo "$pid"
}
stop() {
  local pid
  pid=$(pid_of "$1") || return 0
  kill -TERM "$pid"
  for _ in $(seq 100); do
    pid_of "$1" >/dev/null || break
    sleep 0.1
  done
  if pid_of "$1" >/dev/null; then kill -KILL "$pid"; fi
  rm -f "$work/$1.pid"
}
stop_all() {
  stop operator
  stop broker
  "$cluster" stop --purge --dir "$state"
  rm -rf "$work"
}

# Whether a demo is in this very cluster, not in one that was here before: kept, or cut off.
kept() { cmp -s "$work/cluster" "$KUBECONFIG"; }
# Whether somebody else has services there: they would go with the kinds.
holds_others() {
  local kind=microservices.microservice.dev others
  others=$("$kubectl" get crd "$kind" --ignore-not-found -o name) || fail "The cluster in $state does not answer."
  if [ -n "$others" ] && kept; then
    others=$("$kubectl" get "$kind" -A --field-selector "metadata.namespace!=$shop" -o name) ||
      fail "The cluster in $state does not answer."
  fi
  [ -n "$others" ]
}
look_around() {
  "$cluster" status --dir "$state" >/dev/null 2>&1 || return 0
  "$cluster" start --dir "$state" >/dev/null # repairs what has ended in it
  if ! kept || [ -e "$work/found" ]; then found=1; fi
  ! holds_others ||
    fail "The cluster in $state holds services of yours: make cluster-down first, or CARGO_TARGET_DIR=elsewhere make demo"
}
# Ends the demo that is in the cluster, and the cluster if it was started for it.
down() {
  if ! kept; then
    stop operator
    stop broker
    rm -rf "$work"
  elif [ ! -e "$work/found" ]; then
    stop_all
  else
    found=1
    ! holds_others ||
      fail "The cluster in $state holds services beside the demo's: delete them first, or end it with them: make cluster-down demo-down"
    clean_up
  fi
}

finish() {
  local code=$?
  trap - EXIT
  trap '' INT TERM HUP # what is begun here is finished
  if [ "$code" -eq "$interrupted" ]; then
    printf '\nInterrupted.\n' >&2
  elif [ "$code" -ne 0 ]; then
    printf '\nThe demo failed. State of the services, and the end of %s:\n' "$work/operator.log" >&2
    "$kubectl" get msvc -n "$shop" -o wide >&2 || true
    tail -n 30 "$work/operator.log" >&2 2>/dev/null || true
  fi
  if [ -n "${DEMO_KEEP:-}" ]; then
    cat <<TEXT

It is left running. Look around in another terminal:

  export KUBECONFIG=$KUBECONFIG PATH=$TOOLS:$TARGET/debug:\$PATH
  kubectl get msvc -n $shop                      # also: -o wide, -w
  microservice-operator explain user-service -n $shop
  microservice-operator diff -f examples/shop/user.yaml -n $shop
  kubectl explain msvc.spec
  kubectl edit msvc user-service -n $shop
  kubectl delete deployment user-service -n $shop    # it comes back
  kubectl get events -n $shop --watch
  broker topics $addresses
  less $work/operator.log

End it with: make demo-down
TEXT
  elif [ "$code" -ne 0 ]; then
    [ "$code" -eq "$interrupted" ] || cp "$work/operator.log" "$TARGET/demo-failed.log" 2>/dev/null || true
    clean_up >/dev/null 2>&1 || true
  fi
  exit "$code"
}
# A cluster that was there before stays, without what the demo put into it.
clean_up() {
  stop operator
  stop broker
  if [ -z "$found" ]; then
    stop_all
  else
    "$kubectl" delete namespace "$shop" "$system" --ignore-not-found --wait=false
    "$operator" rbac --namespace "$system" | "$kubectl" delete --ignore-not-found -f -
    "$operator" crd | "$kubectl" delete --ignore-not-found -f -
    rm -rf "$work"
  fi
}

# within SECONDS WHAT COMMAND...: repeats until the command succeeds, four times a second.
within() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || fail "Not reached: $what"
    sleep 0.25
  done
}

column() { # NAME JSONPATH
  "$kubectl" get msvc "$1" -n "$shop" -o jsonpath="$2"
}
# Ready is worth something only for the generation that it was observed for.
ready_count() {
  "$kubectl" get msvc -n "$shop" -o jsonpath='{range .items[*]}{.metadata.generation} {.status.observedGeneration} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' |
    awk '$1 == $2 && $3 == "True"' | wc -l
}
last=
all_ready() {
  local count
  count=$(($(ready_count)))
  if [ "$count" != "$last" ]; then
    if [ -n "$tty" ]; then printf '\r'; fi
    printf '  %d of %d ready' "$count" "$services"
    if [ -z "$tty" ] || [ "$count" -eq "$services" ]; then printf '\n'; fi
    last=$count
  fi
  [ "$count" -eq "$services" ]
}
shows() { [ "$(column "$1" '{.status.ready}')" = "$2" ] && is_ready "$1"; }
is_ready() {
  [ "$(column "$1" '{.status.conditions[?(@.type=="Ready")].status}')" = True ] &&
    [ "$(column "$1" '{.metadata.generation}')" = "$(column "$1" '{.status.observedGeneration}')" ]
}
has_reason() { [ "$(column "$1" '{.status.reason}' | cut -d: -f1)" = "$2" ]; }
answers_ready() { # GET /readyz without a program for it
  kill -0 "$(cat "$work/operator.pid")" 2>/dev/null || fail "The operator ended."
  (
    exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
    printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
    read -r _ code _ <&3
    [ "$code" = 200 ]
  ) 2>/dev/null
}

start_cluster() {
  say "A Kubernetes control plane with three simulated nodes"
  trap finish EXIT
  trap 'exit $interrupted' INT TERM HUP # else finish would see the code of the last command
  "$cluster" start --dir "$state" >/dev/null
  if ! kept; then
    stop broker # of another cluster: its topics would belong to nobody
    rm -rf "$work"
    mkdir -p "$work"
    [ -z "$found" ] || touch "$work/found"
    cp "$KUBECONFIG" "$work/cluster"
  fi
  show get nodes -L topology.kubernetes.io/zone
}

install_operator() {
  say "The operator: its kinds, its rights, its own account"
  "$operator" crd | "$kubectl" apply -f - >/dev/null
  "$kubectl" wait --for=condition=Established crd/microservices.microservice.dev crd/microserviceclasses.microservice.dev >/dev/null
  "$kubectl" create namespace "$system" --dry-run=client -o yaml | "$kubectl" apply -f - >/dev/null
  "$operator" rbac --namespace "$system" | "$kubectl" apply -f -

  mkdir -p "$work"
  local token
  token=$("$kubectl" create token microservice-operator -n "$system" --duration 24h)
  "$kubectl" config view --raw >"$work/kubeconfig"
  local config=("$kubectl" config --kubeconfig "$work/kubeconfig")
  "${config[@]}" delete-user admin >/dev/null
  "${config[@]}" set-credentials operator --token "$token" >/dev/null
  "${config[@]}" set-context --current --user operator >/dev/null

  port=$((10000 + RANDOM % 10000))
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((10000 + RANDOM % 10000)); done
  KUBECONFIG="$work/kubeconfig" nohup "$operator" run "--listen=127.0.0.1:$port" "--operator-namespace=$system" \
    >"$work/operator.log" 2>&1 </dev/null &
  echo $! >"$work/operator.pid"
  within 30 "the operator is ready" answers_ready

  local name
  name=$("$kubectl" auth whoami --kubeconfig "$work/kubeconfig" -o jsonpath='{.status.userInfo.username}')
  printf '  it runs as %s\n' "$name"
  local question
  for question in "create deployments" "create clusterroles" "delete nodes" "create pods/exec"; do
    # shellcheck disable=SC2086 # two words are meant
    printf '  may it %s in %s? %s\n' "$question" "$shop" \
      "$("$kubectl" auth can-i $question -n "$shop" --kubeconfig "$work/kubeconfig" 2>/dev/null || true)"
  done
}

broker_listens() {
  kill -0 "$(cat "$work/broker.pid")" 2>/dev/null || fail "The brokers ended: $(cat "$work/broker.log")"
  [ -s "$work/broker.addresses" ]
}
start_broker() {
  say "Kafka: three brokers in one process, in memory"
  mkdir -p "$work"
  if ! pid_of broker >/dev/null; then
    rm -f "$work/broker.addresses"
    nohup "$broker" serve "$work/broker.addresses" >"$work/broker.log" 2>&1 </dev/null &
    echo $! >"$work/broker.pid"
  fi
  within 30 "the brokers listen" broker_listens
  addresses=$(cat "$work/broker.addresses")
  printf '  %s\n' "$addresses"
}
show_broker() {
  printf '%s$ broker topics %s%s\n' "$dim" "$addresses" "$plain"
  "$broker" topics "$addresses"
}

apply_shop() {
  say "The shop: eight services, four of them with Kafka topics"
  "$kubectl" create namespace "$shop" --dry-run=client -o yaml | "$kubectl" apply -f - >/dev/null
  "$kubectl" label namespace "$shop" pod-security.kubernetes.io/enforce=restricted --overwrite >/dev/null
  # The example names the brokers of a real cluster; here they are elsewhere in each run.
  rm -rf "$work/shop"
  cp -R examples/shop "$work/shop"
  sed "s/\\[kafka.kafka.svc:9092\\]/[${addresses//,/, }]/" examples/shop/class.yaml >"$work/shop/class.yaml"
  ! cmp -s examples/shop/class.yaml "$work/shop/class.yaml" || fail "examples/shop/class.yaml names other brokers."
  show apply -n "$shop" -f "$work/shop/"
  printf '\n'
  within 120 "all services are ready" all_ready
  show get msvc -n "$shop" -o wide
}

show_children() {
  say "What the operator keeps for one of them"
  show get serviceaccount,configmap,secret,service,deployment,hpa,pdb -n "$shop" -l microservice.dev/name=user-service
}

show_topics() {
  say "Their topics, as the brokers have them"
  show_broker
}

scale() {
  say "Scale it with kubectl"
  show scale msvc/user-service --replicas=5 -n "$shop"
  within 60 "five of five pods are ready" shows user-service 5/5
  show get msvc user-service -n "$shop"
}

break_and_repair() {
  local good
  good=$(column payment-service '{.spec.image}')
  say "A mistake: an image that does not exist"
  show patch msvc payment-service -n "$shop" --type merge -p '{"spec":{"image":"payment-service:v3.2.0-missing"}}'
  within 60 "the failure is named" has_reason payment-service ImagePullFailed
  show get msvc payment-service -n "$shop"
  printf '\n  %s%s%s\n\n' "$bold" "$(column payment-service '{.status.conditions[?(@.type=="Ready")].message}')" "$plain"
  printf 'The old pods go on serving:\n'
  show get pods -n "$shop" -l microservice.dev/name=payment-service

  say "Repaired"
  show patch msvc payment-service -n "$shop" --type merge -p "{\"spec\":{\"image\":\"$good\"}}"
  within 60 "the service is ready again" shows payment-service 3/3
  show get msvc payment-service -n "$shop"
}

topics_are() { [ "$(column "$1" '{.status.conditions[?(@.type=="TopicsReady")].reason}')" = "$2" ]; }
refuse_and_correct() {
  local path=/spec/kafka/topics/0/partitions wanted
  wanted=$(column order-service '{.spec.kafka.topics[0].partitions}')
  say "A mistake: fewer partitions, which Kafka cannot do"
  show patch msvc order-service -n "$shop" --type json -p "[{\"op\":\"replace\",\"path\":\"$path\",\"value\":2}]"
  within 60 "the request is refused" topics_are order-service PartitionDecreaseRefused
  show get msvc order-service -n "$shop" -o wide
  printf '\n  %s%s%s\n' "$bold" "$(column order-service '{.status.conditions[?(@.type=="TopicsReady")].message}')" "$plain"

  say "Corrected"
  show patch msvc order-service -n "$shop" --type json -p "[{\"op\":\"replace\",\"path\":\"$path\",\"value\":$wanted}]"
  within 60 "the topics are as described again" topics_are order-service TopicsReady
  show get msvc order-service -n "$shop" -o wide
}

retained=involvedObject.name=inventory-service,reason=TopicRetained
is_retained() { [ -n "$("$kubectl" get events -n "$shop" --field-selector "$retained" -o name)" ]; }
delete_and_return() {
  say "A service goes, its topics stay"
  show delete msvc inventory-service -n "$shop"
  within 60 "its topics are let go" is_retained
  show get events -n "$shop" --field-selector "$retained"
  show_broker

  say "The next one of its name goes on with them"
  show apply -n "$shop" -f "$work/shop/inventory.yaml"
  printf '  The old pods go first; their collection may take half a minute, since the kind of their owner is new to Kubernetes.\n'
  within 60 "the service is ready again" shows inventory-service 3/3
  show get msvc inventory-service -n "$shop"
}

gone() { [ -z "$("$kubectl" get all,hpa,pdb -n "$shop" -o name 2>/dev/null)" ]; }
tidy() {
  say "Clean up: what the operator made goes with its Microservices"
  show delete msvc --all -n "$shop"
  within 60 "the children are gone" gone
  clean_up >/dev/null
  printf 'Done.\n'
}

if [ "${1:-}" = down ]; then
  down
  exit
fi
look_around
stop operator # of an earlier demo that was kept
start_cluster
start_broker
install_operator
apply_shop
show_topics
show_children
scale
break_and_repair
refuse_and_correct
delete_and_return
if [ -z "${DEMO_KEEP:-}" ]; then tidy; fi
