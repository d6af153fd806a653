# sticky directories, open to all, with files of others
# needs: root
mkdir tmp tmp/sub && touch tmp/f tmp/sub/f && chown "$OTHER_UID" tmp/f tmp/sub && chmod 1777 tmp tmp/sub
