# a setgid directory with files of another account in it
# needs: root
mkdir shared && chmod 2777 shared && touch shared/mine shared/theirs
chown "$OTHER_UID:$OTHER_UID" shared/theirs && chown ":$OTHER_UID" shared && chmod 2777 shared
mkdir shared/sub && touch shared/sub/f
