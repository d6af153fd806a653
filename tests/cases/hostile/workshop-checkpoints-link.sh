# where the checkpoint goes is a link
# publish: .ipynb_checkpoints
mkdir WKSHP-Sample && ln -s "$OUTSIDE/home" WKSHP-Sample/.ipynb_checkpoints
