# directories that can be read and entered, not changed
mkdir -p a/b/c && touch a/f a/b/f a/b/c/f && chmod 400 a/b/c/f && chmod 555 a/b/c a/b a
