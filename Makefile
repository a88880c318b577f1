# Each target is a line or two that calls a script or cargo. docs/building.md has the story.

# One selection of packages everywhere: another one means another set of features, and the
# dependencies that they touch are built a second time.
everything := --workspace --locked
shell_scripts = .ci/run $(shell grep -lE '^.!/.*sh$$' scripts/*)

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r target what; do \
		printf '  make %-10s%s\n' "$$target" "$$what"; done

.PHONY: demo
demo: build ## start a chain, pay for an answer, convict a liar, show who was paid what
	scripts/start assay-demo

.PHONY: devnet
devnet: build ## start a chain, two providers and a gateway for OpenAI clients, and say what to type
	scripts/start assay devnet up

# End-to-end tests mostly wait for blocks, so that more of them fit side by side than there are cores.
.PHONY: test
test: build clients cuda ## all unit, pallet, runtime and end-to-end tests
	RUST_TEST_THREADS=4 cargo test $(everything)

# Without them the tests that need them fail, and say so; the others are made all the same.
.PHONY: clients
clients: setup ## install the OpenAI clients that the tests speak through
	-@scripts/clients

.PHONY: cuda
cuda: setup ## install the compiler of the GPU's kernels that tests call
	-@scripts/cuda

.PHONY: cheats
cheats: build ## every way to cheat, and every unjust challenger, on real chains; writes docs/results/cheats.md
	scripts/start assay-cheats docs/results/cheats.md

.PHONY: network
network: build ## networks of zombienet/, and every fault that a network survives; writes docs/results/network.md
	scripts/network run

.PHONY: soak
soak: build clients cuda ## the long runs and the full lists of faults
	scripts/soak

.PHONY: bench
bench: build ## weights, a flooded chain's throughput, exact models' quality and speed, the overhead of channels, disputes
	scripts/bench

.PHONY: economics
economics: build ## what rewards and fees come to over ten years, by the runtime's formulas; writes docs/results/economics.md
	scripts/start assay-bench economics --write

.PHONY: weights
weights: setup ## measure the pallets' weights again and write their weights.rs
	scripts/weights

.PHONY: lint
lint: setup ## formatting, clippy, shellcheck and promtool (clippy's first run is a build of its own)
	cargo fmt --all --check
	@if command -v shellcheck >/dev/null; then shellcheck $(shell_scripts); else echo 'shellcheck is not here: scripts not checked'; fi
	@if command -v promtool >/dev/null; then cd ops/prometheus && promtool check rules alerts.yml && promtool test rules alerts_test.yml; else echo 'promtool is not here: alert rules not checked'; fi
	scripts/lint

.PHONY: fmt
fmt: setup ## format all Rust code
	cargo fmt --all

.PHONY: build
build: setup ## build node, worker and command
	cargo build $(everything)

# The metadata hash, which hardware wallets check, has the runtime built twice.
.PHONY: release
release: setup ## build node, worker and command for machines that earn money (optimised as a whole, which takes long)
	cargo build --locked --profile production -p assay-node -p assay-worker -p assay --features assay-runtime/metadata-hash

.PHONY: setup
setup: ## install what the machine lacks for building, and choose the compilers
	@scripts/setup
