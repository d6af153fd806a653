# three thousand names of one file of the student's own
mkdir d && touch one && chown "$STUDENT_UID" one && perl -e 'for (1..3000) { link "one", "d/n$_" or die "$!" }'
