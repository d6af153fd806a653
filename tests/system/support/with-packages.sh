#!/bin/bash
# with-packages.sh BASE NEW PACKAGE…: a copy of the Debian in BASE with these packages. None of their daemons
# is started.
set -euo pipefail

inside() {
    local root=$1
    shift
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs tmpfs "$root/tmp"
    cat /etc/resolv.conf >"$root/etc/resolv.conf"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    chroot "$root" apt-get -qq update
    chroot "$root" apt-get -qq -y --no-install-recommends install "$@"
    rm "$root/usr/sbin/policy-rc.d"
    # The clock is the whole machine's.
    sed -i 's/^DAEMON_OPTS=.*/DAEMON_OPTS="-x"/' "$root/etc/default/chrony"
}

if [ "${1:-}" = --inside ]; then
    shift
    inside "$@"
    exit
fi
base=$(realpath "$1") new=$(realpath -m "$2")
shift 2
part=$new.part-$$
trap 'rm -rf "$part"' EXIT
cp -a "$base" "$part"
unshare --mount --pid --fork --kill-child=KILL --propagation private "$(realpath "$0")" --inside "$part" "$@"
# Somebody else may have been faster.
mv -T "$part" "$new" 2>/dev/null || [ -d "$new" ]
