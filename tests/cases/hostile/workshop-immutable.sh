# the workshop's directory is immutable, and so is a file of it
# publish: immutable or append-only
# needs: root
mkdir WKSHP-Sample && touch WKSHP-Sample/notes.txt
chattr +i WKSHP-Sample/notes.txt WKSHP-Sample 2>/dev/null || { echo "chattr +i is not possible here"; exit 77; }
