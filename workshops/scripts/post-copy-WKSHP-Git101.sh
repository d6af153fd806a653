#!/bin/bash
# Leaves the address of the seat's repository beside the notebooks. The student owns everything
# by now and git refuses to read a stranger's repository (safe.directory), so this script looks
# at files only.
set -eu
: "${stddir:?}"

course=$stddir/WKSHP-Git101
server=$stddir/git-server.git

for notebook in 0-ReadMeFirst 1-WKSHP-Git101-Lab 2-Conclusion; do
  [ -s "$course/$notebook.ipynb" ] || { echo "$course/$notebook.ipynb is missing: the content was not copied" >&2; exit 1; }
done
[ -s "$server/HEAD" ] || { echo "$server is missing: create-WKSHP-Git101.sh did not run" >&2; exit 1; }

# A rename replaces the name itself and never follows what may lie under it.
new=$(mktemp "$course/.repository.XXXXXX")
printf 'file://%s\n' "$server" >"$new"
chmod 644 "$new"
mv -f "$new" "$course/REPOSITORY"
