# the home itself is a file
# expect: not a directory
# publish: not a directory
cd / && rmdir "$HOME_DIR" && echo gone >"$HOME_DIR"
