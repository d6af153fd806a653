# ACLs whose mask takes every right away, and entries for accounts of old
command -v setfacl >/dev/null || { echo "setfacl is not installed (package acl)"; exit 77; }
mkdir d && touch d/f g
setfacl -m "u:$OTHER_UID:rwx,m::---" d g
setfacl -m "g:4:rw,u:0:---,m::---" d/f
setfacl -d -m "u:$OTHER_UID:rwx,m::---,u::---" d
