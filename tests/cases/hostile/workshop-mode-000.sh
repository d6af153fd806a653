# the workshop's directory and all in it have mode 000
# needs: root
mkdir -p WKSHP-Sample/data/deep .jupyter/lab/workspaces
touch WKSHP-Sample/0-ReadMeFirst.ipynb WKSHP-Sample/data/deep/values.csv
chmod 000 WKSHP-Sample/0-ReadMeFirst.ipynb WKSHP-Sample/data/deep/values.csv
chmod 000 WKSHP-Sample/data/deep WKSHP-Sample/data WKSHP-Sample .jupyter/lab/workspaces .jupyter/lab .jupyter
