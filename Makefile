# Everything a developer runs. `make help` lists it. Tools and all other products go below target/.

TARGET  := $(abspath $(or $(CARGO_TARGET_DIR),target))
TOOLS   := $(TARGET)/tools
CLUSTER := $(TOOLS)/cluster
DENY    := $(TOOLS)/bin/cargo-deny
SCORE   := $(TOOLS)/score
KAFKA   := $(TOOLS)/kafka
STRIMZI := $(TOOLS)/strimzi
BROKER  := $(TOOLS)/broker
NODE    := $(TOOLS)/node
SHOP    := $(TOOLS)/shop
METRICS := $(TOOLS)/metrics-server
ENFORCE := $(TOOLS)/enforcer
HELM    := $(TOOLS)/helm
HEALTH  := $(TOOLS)/health
POLICY  := $(TOOLS)/policies
PROM    := $(TOOLS)/promtool
SBOM    := $(TOOLS)/bin/cargo-cyclonedx
KEDA    := $(TOOLS)/keda-operator $(TOOLS)/keda-adapter
MDBOOK  := $(TOOLS)/bin/mdbook
STATE   := $(TARGET)/cluster
REAL    := $(TARGET)/node

export TARGET TOOLS

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## Checks and tests without a real node; CI runs these and `make e2e-fast` (needs Java and Maven too)
	@scripts/test.sh all

.PHONY: test-unit
test-unit: ## Tests that need no cluster: unit, golden, property, documentation examples
	@scripts/test.sh unit

.PHONY: test-model
test-model: ## Generated chains of specs under generated faults, against a model of the API server (MODEL_CHAINS=4000)
	@scripts/test.sh model

.PHONY: fuzz
fuzz: ## Random and changed texts against all that reads foreign text; INPUTS=10000000 of them
	@FUZZ_INPUTS=$(or $(INPUTS),10000000) scripts/test.sh fuzz

.PHONY: test-cluster
test-cluster: ## Behaviour tests on a control plane of their own (or TEST_KUBECONFIG)
	@scripts/test.sh cluster

.PHONY: faults
faults: ## The operator while requests, watches and itself fail; ALL=1: every plan, PLAN='…': one again, ONLY=text, REST=seconds, CHAOS=minutes, CHAINS=500, SEED
	@scripts/test.sh faults $(if $(ALL),--all) $(if $(CHAOS),--chaos $(CHAOS)) $(if $(CHAINS),--chains $(CHAINS)) $(if $(SEED),--seed $(SEED)) $(if $(PLAN),--plan '$(PLAN)') $(if $(ONLY),--only '$(ONLY)') $(if $(REST),--rest $(REST)) $(if $(JOBS),--jobs $(JOBS))

.PHONY: planted
planted: $(CLUSTER) ## Plant twenty bugs, one after the other, and see which tests find them; ONLY=name
	@scripts/planted.sh $(ONLY)

.PHONY: skew
skew: ## The operator of another commit, then this one, and back: BEFORE=commit (default: the last tag)
	@scripts/test.sh skew $(BEFORE)

.PHONY: test-kafka
test-kafka: ## Kafka tests on a real broker and control plane (needs Java and Maven)
	@scripts/test.sh kafka

.PHONY: e2e-fast
e2e-fast: ## End-to-end tests on a real node: real pods, traffic and brokers (root on Linux; needs Java and Maven)
	@scripts/test.sh e2e-fast

.PHONY: e2e
e2e: ## The same, with the use of CPU and with network policies that are enforced: what that takes is long to build
	@scripts/test.sh e2e

.PHONY: availability
availability: ## How available the shop is while all comes and goes, for MINUTES=30 on a real node
	@scripts/test.sh availability

.PHONY: test-keda
test-keda: ## KEDA itself scales by the lag on a real broker; not part of `make test`, because KEDA takes long to build
	@scripts/test.sh keda

.PHONY: bench
bench: $(if $(LIST),,$(CLUSTER) $(if $(findstring B12,$(ONLY))$(filter all,$(ONLY)),$(KAFKA))) ## Measure: ONLY=B2,B6 chooses (LIST=1 says what there is), N=1000 services, REST, ROUNDS, CALLS, SECONDS, OUTAGE, MINUTES
	@scripts/toolchain.sh cargo
	@cargo bench --quiet --locked $(if $(LIST),--profile dev) --bench control_plane

.PHONY: bench-quick
bench-quick: ## What `make test` measures: it fails on counts only
	@$(MAKE) --no-print-directory bench ONLY=quick N=200

.PHONY: bench-scale
bench-scale: $(CLUSTER) ## One operator with N=100000 services, against a stub of an API server: memory, start, queue
	@scripts/toolchain.sh cargo
	@N=$(or $(N),100000) cargo bench --quiet --locked --bench scale

.PHONY: bench-graph
bench-graph: ## The graph of 1,000 and 10,000 services: time and memory
	@scripts/toolchain.sh cargo
	@cargo bench --quiet --locked --bench graph

.PHONY: fmt
fmt: ## Format Rust and Go
	@scripts/toolchain.sh
	cargo fmt
	gofmt -w tests/cluster tests/node tests/shop tests/broker tests/scan tests/helm tests/health tests/policies tests/enforcer

.PHONY: lint
lint: $(DENY) $(SCORE) $(HELM) ## Format check, clippy, dependency rules, go vet
	@scripts/test.sh lint

.PHONY: scan
scan: $(SCORE) $(HELM) ## kube-score over everything that the examples render to, and over the chart
	@scripts/scan.sh

.PHONY: health
health: $(HEALTH) ## What Flux and Argo CD make of each kind of status
	@$(HEALTH) tests/fixtures/health.yaml tests/fixtures/status gitops/argocd/health \
		gitops/flux/operator/releases.yaml

.PHONY: test-policies
test-policies: $(POLICY) ## What generated network policies let through, judged by kube-network-policies
	@scripts/test.sh policies

.PHONY: test-page
test-page: ## The page of `graph -o html` in a real browser (needs Chromium and Node.js)
	@scripts/toolchain.sh cargo
	@scripts/test-page.sh

.PHONY: alerts
alerts: $(PROM) ## promtool: the alerts of the chart are valid, fire when they should and not otherwise
	@$(PROM) check rules --lint=all --lint-fatal charts/microservice-operator/files/alerts.yaml
	@$(PROM) test rules tests/promtool/alerts.yaml

.PHONY: docs
docs: ## Build the documentation of the code, warnings denied
	@scripts/toolchain.sh cargo
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

.PHONY: book
book: $(MDBOOK) ## Build the pages of docs/ as a site in target/book, to be read without a network
	@scripts/book.sh $(TARGET)/book

.PHONY: crds
crds: ## Write what is generated from the code: the definitions in crds/, and the same and the rights in charts/
	@scripts/toolchain.sh cargo
	cargo run --quiet -- crd --write
	cargo run --quiet -- crd --write charts/microservice-operator-crds/files
	cargo run --quiet -- rbac --rules > $(TARGET)/rules.yaml
	@mv $(TARGET)/rules.yaml charts/microservice-operator/files/rules.yaml

.PHONY: image
image: ## Build the image without a container engine, as an OCI archive (Linux)
	@scripts/image.sh $(TARGET)/image/microservice-operator-oci.tar

.PHONY: release-version
release-version: ## Write the version of the next release where it stands: VERSION=0.2.0
	@scripts/release.sh version $(VERSION)

.PHONY: release-check
release-check: ## Say what is missing for a release
	@scripts/release.sh check

.PHONY: release
release: $(HELM) $(DENY) $(SBOM) ## Build what is published: image, charts, definitions, rights, SBOM, licences
	@scripts/release.sh build

.PHONY: demo
demo: $(CLUSTER) $(BROKER) ## See it work: a shop of eight services (DEMO_KEEP=1 leaves it running)
	@scripts/toolchain.sh cargo
	@cargo build
	@scripts/demo.sh

.PHONY: demo-down
demo-down: ## End what DEMO_KEEP=1 left running
	@if [ -x $(CLUSTER) ]; then scripts/demo.sh down; fi
	@echo "nothing of the demo runs"

.PHONY: cluster
cluster: $(CLUSTER) ## Start a control plane with three simulated nodes in the background
	@$(CLUSTER) start --dir $(STATE)
	@echo "export KUBECONFIG=$(STATE)/kubeconfig   # kubectl is built in: $(TOOLS)/kubectl"

.PHONY: cluster-down
cluster-down: ## Stop it: no process and no data stays
	@if [ -x $(CLUSTER) ]; then $(CLUSTER) stop --purge --dir $(STATE); fi
	@echo "no control plane runs in $(STATE)"

.PHONY: node
node: $(CLUSTER) $(NODE) ## The same with one real node: kubelet, containerd, real pods (root on Linux)
	@$(CLUSTER) start --dir $(REAL) --real $(NODE)
	@echo "export KUBECONFIG=$(REAL)/kubeconfig   # images: $(CLUSTER) load --dir $(REAL) PROGRAM IMAGE"

.PHONY: node-down
node-down: ## Stop it: no process, mount, interface, rule or cgroup stays
	@if [ -x $(CLUSTER) ]; then $(CLUSTER) stop --purge --dir $(REAL); fi

.PHONY: node-tools
node-tools: $(CLUSTER) $(NODE) $(SHOP) ## Build the real node and the programs of its pods without starting it

.PHONY: metrics-tools
metrics-tools: $(METRICS) $(ENFORCE) ## Build metrics-server and the enforcer of network policies, for `make e2e`

.PHONY: cluster-tools
cluster-tools: $(CLUSTER) ## Build the control plane without starting it

.PHONY: chart-tools
chart-tools: $(HELM) $(PROM) ## Build Helm and promtool, for the tests of the charts

.PHONY: kafka-tools
kafka-tools: $(KAFKA) $(STRIMZI) ## Get the Kafka broker of the tests and Strimzi's definitions

.PHONY: keda-tools
keda-tools: $(KEDA) ## Build KEDA's operator and metrics server (25 minutes of CPU the first time)

# One binary holds etcd, the API server, the controller manager, the scheduler, the simulated
# kubelets and kubectl.
$(CLUSTER): $(shell find tests/cluster -type f -not -path 'tests/cluster/node/*') Makefile scripts/build-cluster.sh
	@scripts/build-cluster.sh $@

# kubelet is built with the modules of the control plane, so that both have one version.
$(NODE): $(shell find tests/node tests/cluster/node -type f) tests/cluster/go.mod tests/cluster/go.sum Makefile scripts/build-node.sh scripts/packages.sh
	@scripts/build-node.sh $@

$(SHOP): $(wildcard tests/shop/*.go tests/shop/go.*) Makefile scripts/build-go.sh
	@scripts/build-go.sh tests/shop $@ "the services of the shop"

$(METRICS): $(wildcard tests/metrics/go.*) Makefile scripts/build-go.sh
	@scripts/build-go.sh tests/metrics $@ metrics-server sigs.k8s.io/metrics-server/cmd/metrics-server

$(ENFORCE): $(wildcard tests/enforcer/*) scripts/build-enforcer.sh scripts/packages.sh
	@scripts/build-enforcer.sh $@

$(KAFKA): tests/kafka/pom.xml scripts/build-kafka.sh
	@scripts/build-kafka.sh $@

$(STRIMZI): tests/strimzi/pom.xml scripts/build-strimzi.sh
	@scripts/build-strimzi.sh $@

$(BROKER): $(wildcard tests/broker/*.go tests/broker/go.*) Makefile scripts/build-go.sh
	@scripts/build-go.sh tests/broker $@ "the Kafka brokers of the demo"

$(HELM): $(wildcard tests/helm/*.go tests/helm/go.*) Makefile scripts/build-go.sh
	@scripts/build-go.sh tests/helm $@ "Helm"

$(HEALTH): $(wildcard tests/health/*.go tests/health/go.*) Makefile scripts/build-go.sh
	@scripts/build-go.sh tests/health $@ "kstatus and Argo CD's Lua"

$(POLICY): $(wildcard tests/policies/*.go tests/policies/*.s tests/policies/go.*) Makefile scripts/build-go.sh
	@scripts/build-go.sh tests/policies $@ "the evaluation of kube-network-policies"

# Without the clients of all the clouds that Prometheus can find its targets in.
$(PROM): $(wildcard tests/promtool/go.*) Makefile scripts/build-go.sh
	@scripts/build-go.sh tests/promtool $@ promtool -tags remove_all_sd github.com/prometheus/prometheus/cmd/promtool

$(KEDA): $(TOOLS)/keda-%: $(wildcard tests/keda/go.*) Makefile scripts/build-go.sh
	@echo "the first of KEDA's programs takes half an hour: it holds the clients of all that it can scale by"
	@scripts/build-go.sh tests/keda $@ "KEDA's $*" github.com/kedacore/keda/v2/cmd/$*

$(DENY): Makefile scripts/build-crate.sh
	@scripts/build-crate.sh cargo-deny 0.20.2 $@

$(SBOM): Makefile scripts/build-crate.sh
	@scripts/build-crate.sh cargo-cyclonedx 0.5.9 $@

$(MDBOOK): Makefile scripts/build-crate.sh
	@scripts/build-crate.sh mdbook 0.5.4 $@

$(SCORE): $(wildcard tests/scan/*.go tests/scan/go.*) Makefile scripts/build-go.sh
	@scripts/build-go.sh tests/scan $@ "kube-score"
