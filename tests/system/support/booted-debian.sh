#!/bin/bash
# booted-debian.sh BASE PROGRAM SCRIPT: starts systemd as the first process of a copy of the Debian in BASE,
# with processes, mounts, cgroups and a network of its own, and runs SCRIPT on it. PROGRAM is there as
# /root/wod. Nothing of it is kept. Needs root, and cgroup2 somewhere.
set -euo pipefail

# Becomes process 1.
inside() {
    local base=$1 program=$2 script=$3 root=/mnt/root key name major minor
    mount -t tmpfs -o mode=0700 wod-booted /mnt
    mkdir /mnt/upper /mnt/work "$root"
    chmod 755 /mnt/upper
    mount -t overlay -o "lowerdir=$base,upperdir=/mnt/upper,workdir=/mnt/work" wod-booted "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    while read -r name major minor; do
        mknod -m 666 "$root/dev/$name" c "$major" "$minor"
    done <<<"null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0"
    mount -t tmpfs -o mode=0755 tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    hostname booted
    # Kernel settings are the whole machine's: a copy of those that are written or read.
    for key in net/ipv4/tcp_keepalive_time net/unix/max_dgram_qlen kernel/threads-max kernel/pid_max \
        kernel/hostname kernel/domainname kernel/cap_last_cap kernel/ngroups_max kernel/random/uuid kernel/random/boot_id kernel/osrelease \
        kernel/overflowuid kernel/overflowgid kernel/core_pattern vm/max_map_count fs/nr_open fs/file-max; do
        mkdir -p "$root/run/proc-sys/$(dirname $key)"
        cat "/proc/sys/$key" >"$root/run/proc-sys/$key"
    done
    mount --bind "$root/run/proc-sys" "$root/proc/sys"
    echo booted >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 booted\n' >"$root/etc/hosts"
    ip link set lo up
    # This machine's JupyterHub, if it has one, and what it starts.
    local hub=/opt/jupyterhub modules=/usr/lib/node_modules
    if [ -x $hub/bin/jupyterhub ] && [ -d $modules/configurable-http-proxy ]; then
        mkdir /mnt/hub /mnt/hub-work "$root$hub"
        mount -t overlay -o "lowerdir=$hub,upperdir=/mnt/hub,workdir=/mnt/hub-work" wod-booted "$root$hub"
        mkdir -p "$root$modules"
        mount --bind -o ro $modules "$root$modules"
        install -m 755 "$(command -v node)" "$root/usr/local/bin/node"
        ln -s $modules/configurable-http-proxy/bin/configurable-http-proxy "$root/usr/local/bin/"
    fi
    install -m 755 "$program" "$root/root/wod"
    install -m 755 "$script" "$root/root/script"
    cd "$root"
    mkdir .machine
    pivot_root . .machine
    umount --lazy /.machine
    rmdir /.machine
    exec env -i container=other /lib/systemd/systemd
}

if [ "${1:-}" = --inside ]; then
    shift
    inside "$@"
fi

base=$(realpath "$1") program=$(realpath "$2") script=$(realpath "$3")
cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$cgroups" ] || {
    echo "no cgroup2 is mounted" >&2
    exit 71
}
own=$cgroups/wod-booted-$$
mkdir "$own"
# What is in there ends with the first process.
tidy() {
    if [ -n "$host" ]; then
        kill -KILL "$host" 2>/dev/null || true
        wait "$host" 2>/dev/null || true
    fi
    for ((n = 0; n < 300; n++)); do
        find "$own" -depth -type d -exec rmdir {} \; 2>/dev/null
        [ -e "$own" ] || return 0
        sleep 0.1
    done
}
host=
trap tidy EXIT
trap 'exit 143' TERM INT HUP
# The namespace of cgroups begins where the process is that makes it.
setpriv --pdeathsig KILL bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$own" \
    unshare --mount --pid --ipc --uts --net --cgroup --fork --kill-child=KILL --mount-proc \
    --propagation private "$(realpath "$0")" --inside "$base" "$program" "$script" </dev/null &
host=$!

first=
for ((n = 0; n < 600; n++)); do
    first=$(pgrep -P "$host" || true)
    [ -z "$first" ] || [ "$(cat "/proc/$first/comm" 2>/dev/null)" != systemd ] || break
    kill -0 "$host" 2>/dev/null || break
    first=
    sleep 0.1
done
[ -n "$first" ] || {
    echo "systemd did not become the first process" >&2
    exit 71
}
status=0
nsenter --target "$first" --mount --pid --ipc --uts --net --cgroup -- \
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    /root/script || status=$?
exit "$status"
