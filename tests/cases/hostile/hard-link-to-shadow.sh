# a hard link to a file of root that is to be given to the student
# needs: root
# expect: a hard link to a file of uid 0
mkdir .ssh && ln "$OUTSIDE/etc/shadow" .ssh/authorized_keys
