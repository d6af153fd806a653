# files and directories of another student inside
# needs: root
mkdir -p theirs/deep && touch theirs/deep/f mine
chown -R "$OTHER_UID:$OTHER_UID" theirs && chmod 700 theirs
