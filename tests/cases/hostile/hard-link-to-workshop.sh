# a hard link to a file of WODUSER
# needs: root
# expect: a hard link to a file of uid
ln "$OUTSIDE/workshop/README" README
