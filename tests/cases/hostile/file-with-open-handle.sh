# a file and a directory that a process still holds open for a while
mkdir d && echo x >d/held
(cd d && exec 3<held && exec sleep 3 >/dev/null 2>&1) </dev/null >/dev/null 2>&1 &
