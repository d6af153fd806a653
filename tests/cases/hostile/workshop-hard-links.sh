# files of the workshop are hard links to files of others
# needs: root
# expect: a hard link to a file of uid
mkdir WKSHP-Sample
ln "$OUTSIDE/etc/shadow" WKSHP-Sample/0-ReadMeFirst.ipynb
ln "$OUTSIDE/home/notes" WKSHP-Sample/notes.txt
ln "$OUTSIDE/bin/tool" WKSHP-Sample/wod-generate-pdf.sh
