# directories of mode 000, one in the other
mkdir -p a/b/c/d && touch a/b/c/d/f && chmod 000 a/b/c/d/f a/b/c/d a/b/c a/b a
