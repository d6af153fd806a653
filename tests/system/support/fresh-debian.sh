#!/bin/bash
# fresh-debian.sh BASE PROGRAM SCRIPT: runs a script on a fresh Debian below BASE, of which a copy is
# used, as its root, with its own processes and mounts but this machine's network. PROGRAM is there as
# /root/wod. There is no systemd, and nothing of it
# is kept.
set -euo pipefail

inside() {
    local base=$1 program=$2 script=$3 root=/mnt/root key
    mount -t tmpfs -o mode=0700 wod-fresh /mnt
    mkdir /mnt/upper /mnt/work "$root"
    chmod 755 /mnt/upper
    mount -t overlay -o "lowerdir=$base,upperdir=/mnt/upper,workdir=/mnt/work" wod-fresh "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=0755 tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    # Kernel settings are the whole machine's: a copy of those that are written or read.
    mkdir "$root/run/proc-sys"
    for key in net/ipv4/tcp_keepalive_time kernel/threads-max kernel/pid_max vm/max_map_count \
        kernel/cap_last_cap kernel/ngroups_max kernel/random/uuid kernel/random/boot_id \
        kernel/osrelease kernel/overflowuid kernel/overflowgid; do
        mkdir -p "$root/run/proc-sys/$(dirname $key)"
        cat "/proc/sys/$key" >"$root/run/proc-sys/$key"
    done
    mount --bind "$root/run/proc-sys" "$root/proc/sys"
    mkdir "$root/run/lock"
    chmod 1777 "$root/run/lock"
    cat /etc/resolv.conf >"$root/etc/resolv.conf"
    # A host knows its own name; JupyterHub asks for it.
    hostname fresh
    printf '127.0.0.1 localhost\n127.0.1.1 fresh\n' >"$root/etc/hosts"
    # Packages start no daemons, and the firewall is of a network that ends with the call.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    chroot "$root" dpkg-divert --quiet --local --rename --divert /usr/sbin/ufw.distrib --add /usr/sbin/ufw
    printf '#!/bin/sh\nexec unshare --net /usr/sbin/ufw.distrib "$@"\n' >"$root/usr/sbin/ufw"
    chmod 755 "$root/usr/sbin/ufw"
    install -m 755 "$program" "$root/root/wod"
    install -m 755 "$script" "$root/root/script"
    # An authority of this machine's own, if it has one.
    if [ -n "${PIP_CERT:-}" ]; then
        install -D -m 644 "$PIP_CERT" "$root/root/authority.pem"
        export PIP_CERT=/root/authority.pem NODE_EXTRA_CA_CERTS=/root/authority.pem
        export npm_config_cafile=/root/authority.pem
    fi
    local status=0
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        chroot "$root" /root/script || status=$?
    exit "$status"
}

if [ "${1:-}" = --inside ]; then
    shift
    inside "$@"
fi
base=$(realpath "$1") program=$(realpath "$2") script=$(realpath "$3")
exec setpriv --pdeathsig KILL unshare --mount --pid --ipc --uts --fork --kill-child=KILL --mount-proc \
    --propagation private "$(realpath "$0")" --inside "$base" "$program" "$script"
