# a login shell gets what every shell gets, and the terminals of JupyterHub what both get
if [ -f "$HOME/.profile" ]; then . "$HOME/.profile"; fi
if [ -f "$HOME/.bashrc" ]; then . "$HOME/.bashrc"; fi
