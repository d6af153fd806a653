#!/bin/bash
# prepare.sh demo|test [--check] [--quiet]: installs what a demo, or a run of all tests, needs on a fresh
# Debian or Ubuntu, and nothing that is there already. --check only lists (exit 1: some is missing),
# --quiet leaves out what is there.
# Without root it makes what it can below the home, and lists what is left out.
set -euo pipefail
umask 022
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

readonly POLICY=/usr/sbin/policy-rc.d
readonly OUR_DIR=${XDG_DATA_HOME:-${HOME:-/root}/.local/share}/wod
readonly NODE_DIR=$OUR_DIR/node

mode=
check=
quiet=
missing=0
packages=()

usage() {
    echo "usage: prepare.sh demo|test [--check] [--quiet]" >&2
    exit 64
}

fail() {
    echo "prepare: $*" >&2
    exit 1
}

is_root() {
    [ "$EUID" -eq 0 ]
}

# there NAME: for what is there already.
there() {
    [ -n "$quiet" ] || echo "ok $1"
}

# lacks NAME WHY: for what is not there and is not installed now.
lacks() {
    missing=1
    echo "missing $1${2:+ ($2)}"
}

# --- packages of the system -------------------------------------------------------------------

# package NAME PROBE…: wanted unless a probe (a command, or a file) is there.
package() {
    local name=$1 probe
    shift
    for probe; do
        if [ -e "$probe" ] || command -v "$probe" >/dev/null; then
            there "$name"
            return
        fi
    done
    packages+=("$name")
}

list_packages() {
    local ensurepip
    # Ours is /usr/bin/python3: one of pyenv in /root is out of the students' reach.
    package python3 /usr/bin/python3
    ensurepip=$(compgen -G '/usr/lib/python3*/ensurepip/__init__.py' | head -n 1) || true
    package python3-venv "${ensurepip:-/nonexistent}"
    package nodejs node
    package npm npm
    package build-essential cc
    package openssh-client ssh-keygen
    package ca-certificates /etc/ssl/certs/ca-certificates.crt
    [ "$mode" = test ] || return 0
    package postfix postfix
    package slapd slapd
    package ldap-utils ldapwhoami
    package at at
    package cron /usr/sbin/cron
    package shc shc
    package shellcheck shellcheck
    package openssh-server sshd
    package git git
    package g++ g++
    package acl setfacl
    package iproute2 ip
    package util-linux unshare
    package procps pgrep
    package faketime faketime
    # The checkers of what wod deliver puts on a host; a firewall to look at.
    package systemd systemd-analyze
    package sudo visudo
    package fail2ban fail2ban-regex
    package logrotate logrotate
    package ufw ufw
    package procmail procmail
    # A fresh Debian for wod install.
    package debootstrap debootstrap
    package strace strace
}

install_packages() {
    local name why=
    [ ${#packages[@]} -gt 0 ] || return 0
    is_root || why="needs root"
    command -v apt-get >/dev/null || why="no apt-get here; install it with the system's own tool"
    if [ -n "$check$why" ]; then
        for name in "${packages[@]}"; do
            lacks "$name" "$why"
        done
        return
    fi
    no_daemons
    apt_get install "${packages[@]}" || {
        # Old or empty lists are the usual reason.
        apt_get update
        apt_get install "${packages[@]}"
    }
    daemons_again
    for name in "${packages[@]}"; do
        echo "installed $name"
    done
}

apt_get() {
    local action=$1
    shift
    [ "$action" = update ] || set -- -y --no-install-recommends "$@"
    apt-get -qq -o Dpkg::Use-Pty=0 "$action" "$@" </dev/null >&2
}

# Nothing here is for the daemons that packages start: tests run their own, on private hosts.
no_daemons() {
    [ ! -e "$POLICY" ] || return 0
    trap daemons_again EXIT
    printf '#!/bin/sh\n# of prepare.sh, for as long as it runs\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
}

daemons_again() {
    if grep -qs 'of prepare.sh' "$POLICY"; then
        rm -f "$POLICY"
    fi
    trap - EXIT
}

# --- JupyterHub and its proxy -----------------------------------------------------------------

# hub_works DIR: whether all of a hub of a version that we know is in there.
hub_works() {
    [ -x "$1/bin/jupyterhub" ] && [ -x "$1/bin/jupyterhub-singleuser" ] &&
        [ -x "$1/bin/jupyter-lab" ] &&
        [ -n "$(compgen -G "$1/lib/python3*/site-packages/jupyterhub-[56].*.dist-info")" ]
}

hub_dir() {
    if [ -n "${JPHUB:-}" ]; then
        echo "$JPHUB"
    elif is_root || hub_works /opt/jupyterhub; then
        echo /opt/jupyterhub
    else
        echo "$OUR_DIR/jupyterhub"
    fi
}

install_hub() {
    local dir
    dir=$(hub_dir)
    if hub_works "$dir"; then
        there "jupyterhub in $dir"
    elif [ -n "$check" ]; then
        lacks jupyterhub "in $dir"
    elif ! [ -x /usr/bin/python3 ]; then
        lacks jupyterhub "needs /usr/bin/python3"
    elif ! compgen -G '/usr/lib/python3*/ensurepip/__init__.py' >/dev/null; then
        lacks jupyterhub "needs the package python3-venv"
    else
        make_hub "$dir"
        echo "installed jupyterhub in $dir"
    fi
}

make_hub() {
    local dir=$1
    if [ -n "$(ls -A "$dir" 2>/dev/null)" ] && [ ! -e "$dir/pyvenv.cfg" ]; then
        fail "$dir is there and is no Python venv; move it away, or set JPHUB"
    fi
    mkdir -p "$(dirname "$dir")"
    /usr/bin/python3 -m venv "$dir" >&2
    # jupyterhub_config.py and the hub adapter were tried with 5.5 and 6.1.
    "$dir/bin/pip" install --quiet --disable-pip-version-check \
        'jupyterhub>=5.5,<7' 'jupyterlab>=4.2,<5' >&2
    hub_works "$dir" || fail "pip left no working hub in $dir; remove it and start again"
}

# --- Ansible, which the tests hold ours against -------------------------------------------------

ansible_works() {
    [ -x "$1/bin/ansible-playbook" ] &&
        "$1/bin/python" -c 'import ansible, jmespath, passlib' 2>/dev/null
}

# tests/conformance looks for it at the same places.
ansible_dir() {
    if [ -n "${WOD_ANSIBLE:-}" ]; then
        echo "$WOD_ANSIBLE"
    elif is_root || ansible_works /opt/ansible; then
        echo /opt/ansible
    else
        echo "$OUR_DIR/ansible"
    fi
}

install_ansible() {
    local dir
    dir=$(ansible_dir)
    if ansible_works "$dir"; then
        there "ansible in $dir"
    elif [ -n "$check" ]; then
        lacks ansible "in $dir"
    elif ! compgen -G '/usr/lib/python3*/ensurepip/__init__.py' >/dev/null; then
        lacks ansible "needs the package python3-venv"
    else
        mkdir -p "$(dirname "$dir")"
        /usr/bin/python3 -m venv "$dir" >&2
        "$dir/bin/pip" install --quiet --disable-pip-version-check \
            'ansible-core>=2.17,<2.20' jmespath passlib >&2
        ansible_works "$dir" || fail "pip left no working ansible in $dir; remove it and start again"
        echo "installed ansible in $dir"
    fi
}

# The Python that benchmarks are compared with.
install_psutil() {
    local dir=/opt/psutil
    is_root || dir=$OUR_DIR/psutil
    if [ -x "$dir/bin/python" ] && "$dir/bin/python" -c 'import psutil' 2>/dev/null; then
        there "psutil in $dir"
    elif [ -n "$check" ]; then
        lacks psutil "in $dir"
    elif ! compgen -G '/usr/lib/python3*/ensurepip/__init__.py' >/dev/null; then
        lacks psutil "needs the package python3-venv"
    else
        mkdir -p "$(dirname "$dir")"
        /usr/bin/python3 -m venv "$dir" >&2
        "$dir/bin/pip" install --quiet --disable-pip-version-check 'psutil>=6,<8' >&2
        echo "installed psutil in $dir"
    fi
}

install_proxy() {
    local name=configurable-http-proxy node version
    if command -v $name >/dev/null; then
        there "$name"
        return
    elif [ -x "$NODE_DIR/bin/$name" ]; then
        there "$name in $NODE_DIR"
        return
    elif [ -n "$check" ]; then
        lacks $name
        return
    elif ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        lacks $name "needs node and npm"
        return
    fi
    node=$(node --version)
    node=${node#v}
    # What each can run: 5.1 and later need node 20.
    case ${node%%.*} in
    [0-9] | 1[0-7])
        lacks $name "needs node 18 or later, here is $node; see https://nodejs.org/en/download"
        return
        ;;
    18 | 19) version=~5.0.1 ;;
    *) version=^5.2.0 ;;
    esac
    if is_root; then
        npm_install "$name@$version"
        command -v $name >/dev/null || fail "npm put $name out of PATH: npm prefix -g says where"
        echo "installed $name"
    else
        npm_install --prefix "$NODE_DIR" "$name@$version"
        echo "installed $name in $NODE_DIR"
    fi
}

npm_install() {
    npm install --global --silent --no-fund --no-audit --no-update-notifier "$@" </dev/null >&2
}

check_rust() {
    if command -v cargo >/dev/null || [ -x "${CARGO_HOME:-${HOME:-/root}/.cargo}/bin/cargo" ]; then
        there "cargo"
    else
        lacks cargo "get Rust from https://rustup.rs; it is not installed from here"
    fi
}

for argument; do
    case $argument in
    demo | test) mode=$argument ;;
    --check) check=yes ;;
    --quiet) quiet=yes ;;
    *) usage ;;
    esac
done
[ -n "$mode" ] || usage

list_packages
install_packages
install_hub
install_proxy
[ "$mode" = demo ] || install_ansible
[ "$mode" = demo ] || install_psutil
check_rust
exit "$missing"
