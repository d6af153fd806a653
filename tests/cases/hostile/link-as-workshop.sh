# the workshop directory and the notebook directory are links
# publish: not a directory
ln -s "$OUTSIDE/workshop" WKSHP-Sample && ln -s "$OUTSIDE/etc" .jupyter
mkdir .local && ln -s "$OUTSIDE" .local/share
