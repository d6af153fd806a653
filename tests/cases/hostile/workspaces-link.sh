# where JupyterLab's workspace goes is a link
# publish: .jupyter/lab/workspaces
mkdir -p .jupyter/lab && ln -s "$OUTSIDE/etc" .jupyter/lab/workspaces
