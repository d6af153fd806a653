# immutable directories, one in the other, not empty
# needs: root
mkdir -p a/b/c && touch a/f a/b/f a/b/c/f
chattr +i a/b/c a/b a 2>/dev/null || { echo "chattr +i is not possible here"; exit 77; }
