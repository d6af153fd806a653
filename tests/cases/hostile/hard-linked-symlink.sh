# a hard link to a symbolic link of someone else
# needs: root
# expect: a hard link to a file of uid 0
ln -P "$OUTSIDE/workshop/link" link
