# the home itself is immutable: it can be neither emptied nor renamed
# publish: immutable or append-only
# needs: root
mkdir d && touch d/f
chattr +i . 2>/dev/null || { echo "chattr +i is not possible here"; exit 77; }
