# links to another student's home and to files in it
ln -s "$OUTSIDE/home" home && ln -s "$OUTSIDE/home/notes" notes && mkdir d && ln -s "$OUTSIDE/home/" d/home
