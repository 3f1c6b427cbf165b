# What there is to do with the project; `make` alone lists it.

SWIFT_SOURCES := Sources Tests Package.swift
RELEASE := -c release --static-swift-stdlib --product osler

.PHONY: help setup quickstart test build bench gpu-check format lint docs clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$(printf '\t') read -r name what; do \
	    printf '  make %-11s %s\n' "$$name" "$$what"; done

setup: ## check Swift; install zlib's headers where they are missing
	@Scripts/setup

quickstart: ## fine-tune a small model on medical reasoning, and compare it with its base
	@Scripts/quickstart

test: setup ## run the tests
	swift test -c release --disable-xctest

build: setup ## dist/osler: one stripped binary that runs on other Linux machines too
	swift build $(RELEASE)
	@mkdir -p dist
	@install -m 755 "$$(swift build $(RELEASE) --show-bin-path)/osler" dist/osler
	@strip dist/osler
	@ls -l dist/osler

bench: setup ## measure; results go to Benchmarks/results
	@Benchmarks/run

gpu-check: setup ## on a machine with an NVIDIA GPU: test its kernels, compare with the CPU and with TRL
	@Scripts/gpu-check

format: ## format the Swift sources in place
	swift format -i -r $(SWIFT_SOURCES)

lint: ## check the format
	swift format lint --strict -r $(SWIFT_SOURCES)

docs: setup ## docs/: the code's own documentation as a web site
	@Scripts/docs

clean: ## remove what was built (models/ and results stay)
	swift package clean
	rm -rf dist docs .build/docs
