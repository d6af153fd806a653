# the workshop's directory and a notebook in it are append-only
# publish: immutable or append-only
# needs: root
mkdir WKSHP-Sample && touch WKSHP-Sample/0-ReadMeFirst.ipynb
chattr +a WKSHP-Sample/0-ReadMeFirst.ipynb WKSHP-Sample 2>/dev/null || { echo "chattr +a is not possible here"; exit 77; }
