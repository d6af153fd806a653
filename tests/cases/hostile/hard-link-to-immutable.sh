# a hard link to a file outside that became immutable later
# needs: root
# expect: a hard link to a file of uid 0
ln "$OUTSIDE/etc/passwd" passwd
chattr +i passwd 2>/dev/null || { echo "chattr +i is not possible here"; exit 77; }
