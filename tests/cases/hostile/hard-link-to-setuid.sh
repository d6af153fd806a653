# a hard link to a setuid program, kept for the day it has a hole
# needs: root
# expect: a hard link to a file of uid 0
ln "$OUTSIDE/bin/tool" tool
