# the home itself is a link to another student's
# expect: not a directory
# publish: not a directory
cd / && rmdir "$HOME_DIR" && ln -s "$OUTSIDE/home" "$HOME_DIR"
