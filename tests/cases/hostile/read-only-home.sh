# the home itself has mode 000
# needs: root
mkdir d && touch d/f && chmod 000 .
