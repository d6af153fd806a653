# a directory on the way of a workshop's file is a link
# publish: WKSHP-Sample/data
mkdir WKSHP-Sample && ln -s "$OUTSIDE/workshop" WKSHP-Sample/data
