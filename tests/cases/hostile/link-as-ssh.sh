# .ssh is a link to another student's .ssh, so that keys go there
ln -s "$OUTSIDE/home/.ssh" .ssh
