# names that are options of rm and chown
touch -- -rf -R --reference=shadow --no-preserve-root -- -
mkdir -- -d && touch -- -d/-f
