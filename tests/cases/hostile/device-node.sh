# a device node, as from a restored archive: it must not be given to anyone
# needs: root
# expect: a device node
mkdir d && touch d/f
mknod d/disk b 259 77 2>/dev/null || { echo "mknod is not possible here"; exit 77; }
mknod null c 1 3
