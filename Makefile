# The project's tasks. `make` lists them with the text behind ##.

prefix      ?= /usr/local
sysconfdir  ?= $(if $(filter /usr,$(prefix)),/etc,$(prefix)/etc)
# The directory of the settings file; on RHEL it is /etc/sysconfig.
settingsdir ?= $(sysconfdir)/default
bindir      ?= $(prefix)/bin
sbindir     ?= $(prefix)/sbin
datadir     ?= $(prefix)/share
mandir      ?= $(datadir)/man
unitdir     ?= $(prefix)/lib/systemd/system
presetdir   ?= $(prefix)/lib/systemd/system-preset
bashdir     ?= $(datadir)/bash-completion/completions
zshdir      ?= $(datadir)/zsh/site-functions
fishdir     ?= $(datadir)/fish/vendor_completions.d

CARGO       ?= cargo
INSTALL     ?= install
# Passed to every cargo build, e.g. `make build CARGOFLAGS=--offline`.
CARGOFLAGS  ?=
cargo_build := $(CARGO) build --release --locked $(CARGOFLAGS)
release     := $(or $(CARGO_TARGET_DIR),target)/release
units       := $(notdir $(wildcard systemd/*.socket systemd/*.service))
manuals     := $(notdir $(wildcard packaging/man/*.[1-8]))
preset      := 90-retortd.preset
built       := $(addprefix $(release)/,retortd retort) \
  $(foreach name,retortd retort,$(addprefix target/completions/,$(name).bash _$(name) $(name).fish))
# Writes a file with the paths of this installation: $(call localize,FILE,DESTINATION).
localize     = sed -e 's|/usr/sbin/|$(sbindir)/|g' -e 's|/etc/default/|$(settingsdir)/|g' \
  -e 's|/etc/retortd|$(sysconfdir)/retortd|g' $(1) >$(2) && chmod 644 $(2)

.PHONY: help build run test check generate bench impairments install uninstall deb rpm dist image image-test \
  system-test piuparts fault-test reach-test soak fuzz miri tsan asan

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s%s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## Build both programs and the shell completions
	$(cargo_build)
	$(CARGO) run --locked $(CARGOFLAGS) --example completions target/completions

run: ## Build both programs, serve the frame protocol on port 8083, and log connections
	$(cargo_build)
	$(release)/retortd -v

test: ## Run every test that needs no root (with cargo-nextest if it is installed)
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  $(CARGO) nextest run --locked $(CARGOFLAGS); else $(CARGO) test --locked $(CARGOFLAGS); fi

check: ## Check format, lints, documentation, units, man pages, scripts, installation, the manifest and dependencies
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked $(CARGOFLAGS) -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked $(CARGOFLAGS)
	tests/units.sh
	tests/manuals.sh
	tests/scripts.sh
	tests/install.sh
	tests/kubernetes.sh
	tests/dependencies.sh

generate: ## Write the files that are derived from the list of protocols
	$(CARGO) run --locked $(CARGOFLAGS) --example generate

bench: ## Measure transforms, codec, connection, and the daemon against other servers (BENCHFLAGS=--help)
	$(CARGO) bench --locked $(CARGOFLAGS) --bench '*'
	$(cargo_build)
	python3 benches/end_to_end $(BENCHFLAGS)

impairments: ## Measure impaired listeners against what their options promise (BENCHFLAGS=--help)
	$(cargo_build) --bin retortd
	python3 benches/impairments $(BENCHFLAGS)

# No file is installed unless all exist. They are not built here: this often runs as root, without the user's cargo.
$(built):
	@echo "make install: $@ is missing; run \`make build\` first, as the user who has cargo" >&2; exit 1

install: $(built) ## Install what `make build` built (DESTDIR=, prefix=); existing settings are kept
	$(INSTALL) -D -m 755 $(release)/retortd $(DESTDIR)$(sbindir)/retortd
	$(INSTALL) -D -m 755 $(release)/retort $(DESTDIR)$(bindir)/retort
	$(INSTALL) -d $(DESTDIR)$(settingsdir) $(DESTDIR)$(unitdir)
	[ -e $(DESTDIR)$(settingsdir)/retortd ] || \
	  { $(call localize,packaging/default/retortd,$(DESTDIR)$(settingsdir)/retortd); }
	for man in $(manuals); do \
	  directory=$(DESTDIR)$(mandir)/man$${man##*.}; $(INSTALL) -d $$directory && \
	  $(call localize,packaging/man/$$man,$$directory/$$man) || exit 1; done
	for unit in $(units); do \
	  $(call localize,systemd/$$unit,$(DESTDIR)$(unitdir)/$$unit) || exit 1; done
	$(INSTALL) -D -m 644 systemd/$(preset) $(DESTDIR)$(presetdir)/$(preset)
	for name in retortd retort; do \
	  $(INSTALL) -D -m 644 target/completions/$$name.bash $(DESTDIR)$(bashdir)/$$name && \
	  $(INSTALL) -D -m 644 target/completions/_$$name $(DESTDIR)$(zshdir)/_$$name && \
	  $(INSTALL) -D -m 644 target/completions/$$name.fish $(DESTDIR)$(fishdir)/$$name.fish || exit 1; done

uninstall: ## Remove what `make install` installed, except the settings (disable the sockets first)
	rm -f $(DESTDIR)$(sbindir)/retortd $(DESTDIR)$(bindir)/retort
	rm -f $(foreach man,$(manuals),$(DESTDIR)$(mandir)/man$(subst .,,$(suffix $(man)))/$(man))
	rm -f $(addprefix $(DESTDIR)$(unitdir)/,$(units)) $(DESTDIR)$(presetdir)/$(preset)
	rm -f $(foreach name,retortd retort,$(DESTDIR)$(bashdir)/$(name) \
	  $(DESTDIR)$(zshdir)/_$(name) $(DESTDIR)$(fishdir)/$(name).fish)

deb: ## Build the Debian package into target/deb
	packaging/build-deb target/deb

rpm: ## Build the RPM package for RHEL 9 into target/rpm (DEB=PACKAGE.deb: with its programs, for a test)
	packaging/build-rpm target/rpm $(DEB)

dist: ## Build the source tarball, with all crates, into target/dist
	packaging/build-dist target/dist

image: ## Build the container image, an OCI archive, into target/image (IMAGE=name:tag)
	packaging/build-image target/image $(IMAGE)

image-test: image ## Test the container image in an empty root directory and with podman (root)
	tests/image.sh target/image/retortd-*.oci.tar

system-test: ## Test the package on a booted systemd (root; RETORTD_TEST_SUITE=bookworm|trixie)
	tests/system/run target/deb/retortd_*.deb

piuparts: ## Install, upgrade, remove and purge the package with piuparts (root)
	piuparts --no-eatmydata --distribution=$(or $(RETORTD_TEST_SUITE),bookworm) \
	  --existing-chroot="$$(tests/system/root)" --log-level=error target/deb/retortd_*.deb

fault-test: ## Cause real faults: injected errors, limits, resets, lossy networks (root)
	RETORTD_FAULT_SECONDS=$(or $(RETORTD_FAULT_SECONDS),5) \
	  $(CARGO) test --locked $(CARGOFLAGS) --test daemon faults:: -- --test-threads=1

reach-test: ## Restart instances behind haproxy, nginx and nftables under load (REACHFLAGS=--help; RETORTD=PROGRAM)
	$(if $(RETORTD),,$(cargo_build) --bin retortd)
	python3 tests/reach --retortd $(or $(RETORTD),$(release)/retortd) $(REACHFLAGS)

miri: ## Run the tests of code without I/O under Miri (nightly with miri and rust-src)
	tests/sanitizers.sh miri

tsan: ## Run tests under ThreadSanitizer (nightly with rust-src)
	tests/sanitizers.sh tsan

asan: ## Run all tests under AddressSanitizer (nightly)
	tests/sanitizers.sh asan

soak: ## Run ten minutes of mixed load with random faults
	tests/soak/run

fuzz: ## Fuzz every target for a short time (nightly, cargo-fuzz)
	fuzz/run
