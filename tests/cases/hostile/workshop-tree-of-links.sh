# the workshop is a directory in which every file is a link to something outside
mkdir -p WKSHP-Sample/data .jupyter/lab/workspaces
ln -s "$OUTSIDE/etc/shadow" WKSHP-Sample/0-ReadMeFirst.ipynb
ln -s "$OUTSIDE/etc/passwd" WKSHP-Sample/notes.txt
ln -s "$OUTSIDE/home/notes" WKSHP-Sample/check.sh
ln -s "$OUTSIDE/home/notes" WKSHP-Sample/data/Variables.ps1
ln -s "$OUTSIDE/bin/tool" WKSHP-Sample/wod-generate-pdf.sh
ln -s "$OUTSIDE/etc/shadow" .jupyter/lab/workspaces/default-37a8.jupyterlab-workspace
