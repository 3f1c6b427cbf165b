# Shared by the scripts beside this file; sourced, not run.

# Says what happens next.
say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
[ -t 1 ] || say() { printf '==> %s\n' "$*"; }

# Stops with one line that says what went wrong and what to do.
stop() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Installs Debian packages; says what to install by hand where it can't.
install_packages() {
    local root=()
    if [ "$(uname)" != Linux ] || ! command -v apt-get >/dev/null; then
        stop "missing: $*. Install them (these are Debian's names) and run this again."
    fi
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || stop "missing: $*. As root: apt-get install $*"
        root=(sudo)
    fi
    say "installing $* (apt-get)"
    local log
    log=$(mktemp)
    # An old package list may still do, so a failed update alone stops nothing.
    "${root[@]}" apt-get -qq update >"$log" 2>&1 || true
    if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y install --no-install-recommends "$@" >>"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        stop "apt-get could not install $* (see above)."
    fi
    rm -f "$log"
}
