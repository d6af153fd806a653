# FIFOs have the names of the workshop's files: whoever opens one waits for ever
mkdir -p WKSHP-Sample/data .jupyter/lab/workspaces
mkfifo WKSHP-Sample/0-ReadMeFirst.ipynb WKSHP-Sample/notes.txt WKSHP-Sample/check.sh WKSHP-Sample/data/Variables.ps1
mkfifo .jupyter/lab/workspaces/default-37a8.jupyterlab-workspace
