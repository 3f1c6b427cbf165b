# What there is to do with the project; `make` alone lists it.

SWIFT_SOURCES := Sources Tests Package.swift
RELEASE := -c release --static-swift-stdlib

.PHONY: help setup quickstart test test-asan build bench gpu-check gpu-check-binaries gpu-check-bundle format lint docs clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$(printf '\t') read -r name what; do \
	    printf '  make %-16s %s\n' "$$name" "$$what"; done

setup: ## check Swift; install zlib's headers where they are missing
	@Scripts/setup

quickstart: ## fine-tune a small model on medical reasoning, and compare it with its base
	@Scripts/quickstart

test: setup ## run the tests
	swift test -c release --disable-xctest

test-asan: setup ## run the CUDA backend's tests on its simulator with the address sanitizer
	@Scripts/test-asan

build: setup dist/osler ## dist/osler: one stripped binary that runs on other Linux machines too
	@ls -l dist/osler

.PHONY: dist/osler dist/osler-gpu-check
dist/osler dist/osler-gpu-check:
	swift build $(RELEASE) --product $(@F)
	@mkdir -p dist
	@install -m 755 "$$(swift build $(RELEASE) --show-bin-path)/$(@F)" $@
	@strip $@

bench: setup ## measure; results go to Benchmarks/results
	@Benchmarks/run

gpu-check: ## on a machine with an NVIDIA GPU: test the kernels, measure, compare with TRL and Unsloth
	@Scripts/gpu-check

gpu-check-binaries: setup dist/osler dist/osler-gpu-check
	@{ git describe --always --dirty 2>/dev/null || echo unknown; } > dist/commit

GPU_CHECK_FILES := dist/osler dist/osler-gpu-check dist/commit Scripts/gpu-check \
    Benchmarks/peers/gpu_sft.py Benchmarks/peers/gpu_ceilings.py

gpu-check-bundle: gpu-check-binaries ## dist/gpu-check.tar.xz: all that make gpu-check needs on a machine without Swift
	@tar -cJf dist/gpu-check.tar.xz --transform 's,^,osler-gpu-check/,' $(GPU_CHECK_FILES)
	@ls -l dist/gpu-check.tar.xz

format: ## format the Swift sources in place
	swift format -i -r $(SWIFT_SOURCES)

lint: ## check the format
	swift format lint --strict -r $(SWIFT_SOURCES)

docs: setup ## docs/: the code's own documentation as a web site
	@Scripts/docs

clean: ## remove what was built (models/ and results stay)
	swift package clean
	rm -rf dist docs .build/docs
