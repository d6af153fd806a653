#!/bin/bash
# private-host.sh COMMAND [ARGUMENT…]: runs one command on a private copy of this machine.
# /etc, /home, /var and /root are overlays, /tmp, /run and /dev/shm are empty, the network is a
# loopback of its own, and every process ends with the command. Needs root.
# private-host.sh --shared COMMAND …: with the machine's own processes and network, for what the
# kernel only gives to those: the process connector. Whoever asks for it ends what they started.
set -euo pipefail

fail() {
    echo "private-host: $*" >&2
    exit 71
}

# Runs as process 1 of the new pid namespace.
inside() {
    local keep top
    keep=$(pwd -P)

    # The layers need a place that none of the mounts below covers.
    mount -t tmpfs -o mode=0700 wod-layers /mnt
    mkdir /mnt/keep
    # The caller's directory stays the real one, so that a build in it is not lost.
    mount --bind "$keep" /mnt/keep
    for top in etc home var root; do
        mkdir "/mnt/$top" "/mnt/$top/upper" "/mnt/$top/work"
        # A merged directory takes its owner and mode from the upper layer.
        chmod --reference="/$top" "/mnt/$top/upper"
        mount -t overlay -o "lowerdir=/$top,upperdir=/mnt/$top/upper,workdir=/mnt/$top/work" \
            wod-private "/$top"
    done
    mount -t tmpfs -o mode=1777 tmpfs /tmp
    mount -t tmpfs -o mode=1777 tmpfs /dev/shm
    mount -t tmpfs -o mode=0755 tmpfs /run
    mkdir -m 0755 /run/user /run/sshd /run/slapd
    mkdir -m 1777 /run/lock
    case $keep in
    /etc/* | /home/* | /var/* | /root/* | /tmp/* | /run/*)
        mkdir -p "$keep"
        mount --move /mnt/keep "$keep"
        cd "$keep"
        ;;
    *)
        umount /mnt/keep
        ;;
    esac
    # The overlays hold their layers; nobody needs to see them.
    umount --lazy /mnt

    [ "$1" = --shared ] && shift || ip link set lo up
    # In a container /etc/hosts is a mount of its own, which an overlay does not show.
    grep -qsw localhost /etc/hosts || printf '127.0.0.1 localhost\n::1 localhost\n' >>/etc/hosts

    # No exec: process 1 must reap what daemons leave behind.
    local status=0
    "$@" || status=$?
    exit "$status"
}

if [ "${1:-}" = --inside ]; then
    shift
    inside "$@"
fi
own=(--pid --net --fork --kill-child=KILL --mount-proc)
if [ "${1:-}" = --shared ]; then
    own=(--fork --kill-child=KILL)
fi
[ $# -gt 0 ] || fail "usage: private-host.sh COMMAND [ARGUMENT…]"
[ "$(id -u)" -eq 0 ] || fail "needs root, for mounts and namespaces; run it with sudo"

# setpriv: should this shell be killed, the private host must not live on.
setpriv --pdeathsig KILL unshare --mount --ipc "${own[@]}" --propagation private "$(realpath "$0")" --inside "$@" <&0 &
child=$!
trap 'kill -KILL "$child" 2>/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
status=0
wait "$child" || status=$?
trap - EXIT
exit "$status"
