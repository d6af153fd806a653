# links to what is not there: a write through one would make it
ln -s "$OUTSIDE/etc/cron.d/new" .bashrc && ln -s "$OUTSIDE/new" d && ln -s /nonexistent/x y && ln -s nothing z
