# files where directories are expected
# publish: not a directory
touch .ssh .jupyter .local .config WKSHP-Sample
chmod 000 .ssh
