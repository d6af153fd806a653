#!/bin/bash
# virtual-debian.sh BASE PROGRAM SCRIPT: boots a copy of the Debian in BASE, with the kernel in its /boot, as a
# virtual machine without a network, and runs SCRIPT on it. PROGRAM is there as /root/wod. Nothing of it is kept.
# Needs root and qemu.
set -euo pipefail

# Writes the disk.
inside() {
    local base=$1 program=$2 script=$3 disk=$4 root=/mnt/root
    mount -t tmpfs -o mode=0700 wod-virtual /mnt
    mkdir /mnt/upper /mnt/work "$root"
    chmod 755 /mnt/upper
    mount -t overlay -o "lowerdir=$base,upperdir=/mnt/upper,workdir=/mnt/work" wod-virtual "$root"
    echo virtual >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 virtual\n' >"$root/etc/hosts"
    # This machine's JupyterHub, if it has one, and what it starts.
    local hub=/opt/jupyterhub modules=/usr/lib/node_modules
    if [ -x $hub/bin/jupyterhub ] && [ -d $modules/configurable-http-proxy ]; then
        mkdir -p "$root$hub" "$root$modules"
        mount --bind -o ro $hub "$root$hub"
        mount --bind -o ro $modules "$root$modules"
        install -m 755 "$(command -v node)" "$root/usr/local/bin/node"
        ln -s $modules/configurable-http-proxy/bin/configurable-http-proxy "$root/usr/local/bin/"
    fi
    install -m 755 "$program" "$root/root/wod"
    install -m 755 "$script" "$root/root/script"
    cat >"$root/root/run" <<'R'
#!/bin/bash
status=0
/root/script || status=$?
echo "STATUS $status"
# Whatever the script left running.
systemctl poweroff --force --force
R
    chmod 755 "$root/root/run"
    # Of Type=exec, so that the machine is up while the script runs.
    cat >"$root/etc/systemd/system/script.service" <<'U'
[Unit]
After=multi-user.target
[Service]
Type=exec
Environment=HOME=/root LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/root/run
StandardOutput=file:/dev/virtio-ports/script
StandardError=file:/dev/virtio-ports/script
U
    mkdir "$root/etc/systemd/system/graphical.target.wants"
    ln -s ../script.service "$root/etc/systemd/system/graphical.target.wants/"
    mke2fs -q -t ext4 -E lazy_itable_init=1 -d "$root" "$disk" 4G
}

if [ "${1:-}" = --inside ]; then
    shift
    inside "$@"
    exit
fi

command -v qemu-system-x86_64 >/dev/null || {
    echo "there is no qemu-system-x86_64"
    exit 71
}
base=$(realpath "$1") program=$(realpath "$2") script=$(realpath "$3")
kernel=$(ls "$base"/boot/vmlinuz-* | tail -n 1)
initrd=$(ls "$base"/boot/initrd.img-* | tail -n 1)
own=$(mktemp -d "$(dirname "$base")/virtual-XXXXXX")
trap 'rm -rf "$own"' EXIT
trap 'exit 143' TERM INT HUP
unshare --mount --propagation private "$(realpath "$0")" --inside "$base" "$program" "$script" "$own/disk"
setpriv --pdeathsig KILL qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 3072 \
    -nodefaults -no-reboot -display none -nic none \
    -kernel "$kernel" -initrd "$initrd" -append "root=/dev/vda rw console=ttyS0 panic=-1" \
    -drive "file=$own/disk,if=virtio,format=raw,cache=unsafe" -serial "file:$own/console" -device virtio-serial \
    -chardev "file,id=script,path=$own/said" -device virtserialport,chardev=script,name=script </dev/null
cat "$own/said"
status=$(sed -n 's/^STATUS //p' "$own/said")
[ -n "$status" ] || tail -n 100 "$own/console" >&2
exit "${status:-1}"
