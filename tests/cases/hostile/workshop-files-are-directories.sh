# a full directory has the name of a notebook
# publish: not a regular file
mkdir -p WKSHP-Sample/0-ReadMeFirst.ipynb/full && touch WKSHP-Sample/0-ReadMeFirst.ipynb/full/f
