# a hard link to another student's file
# needs: root
# expect: a hard link to a file of uid
mkdir d && ln "$OUTSIDE/home/notes" d/notes
ln "$OUTSIDE/home/.ssh/authorized_keys" keys
