# default ACLs that would give others what is made in here
command -v setfacl >/dev/null || { echo "setfacl is not installed (package acl)"; exit 77; }
mkdir -p WKSHP-Sample/data .jupyter
setfacl -d -m "u:$OTHER_UID:rwx,g:$OTHER_UID:rwx,o::rwx" . WKSHP-Sample WKSHP-Sample/data .jupyter
setfacl -m "u:$OTHER_UID:rwx" . WKSHP-Sample
