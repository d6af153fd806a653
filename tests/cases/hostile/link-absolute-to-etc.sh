# an absolute link to a directory of root
ln -s "$OUTSIDE/etc" etc && mkdir d && ln -s "$OUTSIDE/etc/shadow" d/shadow
