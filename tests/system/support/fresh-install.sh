#!/bin/bash
# Runs as root of a fresh Debian: wod install, again, and a mail. /root/wod is the program.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

listing() {
    find /etc /usr/local /usr/share/wod /opt /student /home /var/lib/wod -xdev \
        ! -path /var/lib/wod/private ! -path '/var/lib/wod/private/deliver*' \
        ! -name '*.pyc' ! -name __pycache__ \
        -printf '%p %m %U:%G %s %T@\n' 2>/dev/null | sort
}

lo_up() {
    python3 -c '
import fcntl, socket, struct
request = struct.pack("16sh", b"lo", 1 | 64)
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8914, request)'
}

if [ "${1:-}" = works ]; then
    lo_up
    cd /var/lib/wod
    /opt/jupyterhub/bin/jupyterhub -f /etc/wod/jupyterhub/jupyterhub_config.py >/run/hub.log 2>&1 &
    wod serve >/run/serve.log 2>&1 &
    for ((n = 0; n < 1800; n++)); do
        ! wod status --json | grep -q '"hub":true' || break
        sleep 0.3
    done
    wod test-action CREATE WKSHP-Shell101 1 --wait || { cat /run/serve.log /run/hub.log; exit 1; }
    wod students list
    test -e /student/student1/WKSHP-Shell101
    pgrep -u student1 -f jupyterhub-singleuser >/dev/null
    # Limits of the spawner, and the proxy from wod install.
    grep -E '^Max processes +512 +512' "/proc/$(pgrep -u student1 -of jupyterhub-singleuser)/limits"
    grep -x 500 "/proc/$(pgrep -u student1 -of jupyterhub-singleuser)/oom_score_adj"
    pgrep -f node_modules/configurable-http-proxy >/dev/null
    # With the hub running, deliver and doctor have all they want.
    wod deliver
    wod deliver --check --detailed-exitcode
    echo WORKS
    kill %1 %2
    wait || true
    exit
fi

/root/wod install --check
test ! -e /etc/wod && test ! -e /usr/local/bin/wod && test ! -e /opt/jupyterhub
echo FIRST
SECONDS=0
/root/wod install
echo "INSTALLED in $SECONDS s"
listing >/run/before
echo AGAIN
# Without a network: nothing is fetched.
unshare --net /usr/local/bin/wod install
listing >/run/after
diff /run/before /run/after
echo SAME
# Something of it is gone: the next run mends that.
rm -r /usr/share/wod/sys/systemd /opt/jupyterhub/lib/node_modules
echo MEND
/usr/local/bin/wod install
test -e /usr/share/wod/sys/systemd/wod.service.j2
unshare --net "$0" works
