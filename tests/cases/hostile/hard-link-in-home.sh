# two names of one file, both in the home
mkdir d && echo x >a && ln a d/b && ln a c && chmod 000 a
chown "$STUDENT_UID" a 2>/dev/null || true
