# links whose target ends in a slash or a dot
ln -s "$OUTSIDE/etc/" a && ln -s "$OUTSIDE/etc/." b && ln -s "$OUTSIDE/etc/.." c && ln -s / d
