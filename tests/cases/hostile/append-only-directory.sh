# an append-only directory: entries can be made there, not removed
# needs: root
mkdir -p spool/in && touch spool/in/f
chattr +a spool spool/in 2>/dev/null || { echo "chattr +a is not possible here"; exit 77; }
