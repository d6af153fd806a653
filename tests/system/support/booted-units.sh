#!/bin/bash
# Runs as root of a Debian with systemd: the units of wod deliver do their work. /root/wod is the program.
set -euo pipefail

# In a machine of its own, and not below the kernel of another one.
virtual() { ! systemd-detect-virt --quiet --container; }

# On a quiet machine within that time; on a busy one it takes longer.
until_true() {
    local seconds=$(($1 * 6)) begun=$SECONDS
    shift
    while ((SECONDS - begun < seconds)); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.2
    done
    echo "not within $seconds s: $*" >&2
    return 1
}

told() {
    local status=$?
    [ "$status" = 0 ] || journalctl --no-pager -o short -n 80 >&2
    exit "$status"
}
trap told EXIT
trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR

is_up() { [[ "$(systemctl is-system-running)" =~ ^(running|degraded)$ ]]; }
is_active() { [ "$(systemctl is-active "$1")" = active ]; }
of() { systemctl show --value -p "$2" "$1"; }

# What one student gets holds for all that the student runs together. That needs controllers of cgroups, so a
# kernel of one's own.
limits() {
    local uid slice before from percent status=0
    echo LIMITS
    uid=$(id -u student2)
    # As the hub does it before a server starts, with less.
    PYTHONPATH=/usr/share/wod/sys /opt/jupyterhub/bin/python3 - "$uid" <<'X'
import asyncio, sys, wod_students
spawner = wod_students.StudentSpawner(memory_mb=300, tasks=200)
asyncio.run(spawner.limit_slice(int(sys.argv[1])))
X
    slice=/sys/fs/cgroup/user.slice/user-$uid.slice
    as_student() { su -l student2 -c "$1"; }
    spent() { awk '$1 == "usage_usec" { print $2 }' "$slice/cpu.stat"; }
    as_student 'until [ -e /run/limited ]; do sleep 1; done' &
    until_true 20 test -e "$slice/memory.max"
    grep -H . "$slice"/{memory.max,memory.high,pids.max,cpu.max}

    as_student 'for n in 1 2 3 4; do timeout 60 sh -c "while :; do :; done" & done; wait' &
    sleep 10
    before=$(spent) from=$(date +%s%6N)
    sleep 20
    percent=$((($(spent) - before) * 100 / ($(date +%s%6N) - from)))
    echo "four that compute have $percent % of a processor"
    ((percent > 50 && percent <= 105))
    wait %2 || true

    as_student 'for ((n = 0; n < 300; n++)); do sleep 60 & done' >/run/forks 2>&1 || true
    sort /run/forks | uniq -c
    # PAM's limit is a higher one.
    grep -q 'fork: Resource temporarily unavailable' /run/forks

    as_student 'exec python3 -c "print(len(bytearray(400 << 20)))"' || status=$?
    echo "more memory than there is for one: ended with $status"
    [ "$status" = 137 ]
    grep '^oom_kill [1-9]' "$slice/memory.events"
    touch /run/limited
    wait
}

until_true 60 is_up
mkdir -p /etc/wod/inventory/group_vars
cat >/etc/wod/inventory/group_vars/all.yml <<'X'
WODUSER: wodadmin
WODSENDER: frontend@test
WODHUB: none
WODWATCHDOG: unit
WODUSERMIN: 1
WODUSERMAX: 20
WODBEFQDN: 127.0.0.1
X
chmod 600 /etc/wod/inventory/group_vars/all.yml
/root/wod install

echo ACTIVE
for unit in wod.service wod-intake.socket wod-watchdog.service wod-deliver.timer fail2ban postfix@- cron ufw; do
    until_true 20 is_active "$unit"
    echo "$unit is active"
done
[ "$(of wod.service Type)" = notify ]
# Nobody has mails yet, so nobody reads them.
[ "$(systemctl is-active wod-intake.service || true)" = inactive ]

echo AGAIN
wod deliver --check --detailed-exitcode

echo MAIL
wod test-action CREATE WKSHP-Shell101 1 --wait
test -d /student/student1/WKSHP-Shell101
is_active wod-intake.service

echo KILLED
before=$(of wod.service MainPID)
systemctl kill -s KILL wod.service
# While there is no engine the socket takes mails.
wod test-action CREATE WKSHP-Shell101 2
again() { is_active wod.service && [ "$(of wod.service MainPID)" != "$before" ]; }
until_true 30 again
until_true 60 test -d /student/student2/WKSHP-Shell101
[ "$(of wod.service NRestarts)" = 1 ]

echo SLICE
uid=$(id -u student1)
su -l student1 -c 'cat /proc/self/cgroup; ulimit -u; until [ -e /run/seen ]; do sleep 0.2; done' >/run/session &
until_true 20 is_active "user-$uid.slice"
[ "$(of "user-$uid.slice" TasksMax)" = 100000 ]
touch /run/seen
wait %1
cat /run/session
grep -q "/user-$uid.slice/" /run/session

echo WATCHDOG
install -o student1 -m 755 /bin/sleep /student/student1/xmrig
status=0
setpriv --reuid student1 --regid student1 --clear-groups /student/student1/xmrig 300 || status=$?
echo "the miner ended with $status"
[ "$status" = 137 ]
listed() { wod watchdog list | grep student1; }
until_true 20 listed
listed
# An incident is written down before anything is touched, its evidence when all have ended.
evidence() { ls /var/lib/wod/private/evidence/*; }
until_true 20 evidence
gone() { test ! -e /student/student1/xmrig; }
until_true 20 gone
is_active wod-watchdog.service
[ "$(of wod-watchdog.service NRestarts)" = 0 ]
grep -q '^Seccomp:.*2' "/proc/$(of wod-watchdog.service MainPID)/status"

said=$(journalctl --no-pager -o cat -u wod-watchdog)
if grep -E 'Function not implemented|not permitted|Permission denied|could not|cannot' <<<"$said"; then
    exit 1
fi

# Only there the watchdog has the kernel's process connector.
if virtual; then
    wod watchdog status --json | grep -o '"connector":true'
fi

echo DELIVER
rm /etc/logrotate.d/wod
systemctl start wod-deliver.service
[ "$(of wod-deliver.service Result)" = success ]
test -e /etc/logrotate.d/wod
wod deliver history
wod deliver --check --detailed-exitcode

[ -x /opt/jupyterhub/bin/jupyterhub ] || {
    echo "jupyterhub.service is left out: there is no /opt/jupyterhub"
    echo WORKS
    exit
}
if virtual; then
    limits
    # On a processor of software the hub needs minutes for a start, and gives up before.
    echo "jupyterhub.service is left out: this is a virtual machine"
    echo WORKS
    exit
fi

echo HUB
sed -i 's/^WODHUB:.*/WODHUB: jupyterhub/' /etc/wod/inventory/group_vars/all.yml
echo "WODBETOKEN: $(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" >>/etc/wod/inventory/group_vars/all.yml
# Its students want a hub that answers.
wod deliver --skip-tags students | grep -v '^ok'
systemctl restart wod.service
answers() { wod status --json | grep -q '"hub":true'; }
until_true 90 answers
wod deliver
wod deliver --check --detailed-exitcode
wod test-action CREATE WKSHP-Shell101 3 --wait
server=$(pgrep -u student3 -of jupyterhub-singleuser)
cat "/proc/$server/cgroup"
uid=$(id -u student3)
grep -q "^0::/user.slice/user-$uid.slice/" "/proc/$server/cgroup"
systemctl show -p TasksMax,MemoryMax,CPUQuotaPerSecUSec "user-$uid.slice"
[ "$(of "user-$uid.slice" TasksMax)" = 512 ]
[ "$(of "user-$uid.slice" MemoryMax)" = $((2048 * 1024 * 1024)) ]
grep -E '^Max core file size +1 +1' "/proc/$server/limits"
# What the hub has left itself is what a student has: sudo, but no kernel modules.
grep -x 'NoNewPrivs:.0' "/proc/$server/status"
bounds=$((16#$(awk '$1 == "CapBnd:" { print $2 }' "/proc/$server/status")))
SYS_MODULE=16 SYS_ADMIN=21
((bounds >> SYS_ADMIN & 1 && !(bounds >> SYS_MODULE & 1)))
# A new start of the hub leaves them at their work.
systemctl restart jupyterhub.service
until_true 90 answers
[ "$server" = "$(pgrep -u student3 -of jupyterhub-singleuser)" ]

echo WORKS
