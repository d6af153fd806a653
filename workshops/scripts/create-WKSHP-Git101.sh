#!/bin/bash
# Makes the bare repository of a seat, $stddir/git-server.git: two commits on main, and a branch
# milk-first that contradicts the second one. Runs as WODUSER, before the content is copied.
set -eu
: "${stdid:?}" "${stddir:?}"

class=${GIT101DIR:-$HOME/git101}/class.git
seat=$stddir/git-server.git

command -v git >/dev/null || { echo "git is missing on this host: install the package git" >&2; exit 1; }
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null # nothing of the admin's settings

"$(dirname "$0")/reset-WKSHP-Git101.sh" --if-missing

# The home was erased a moment ago: a repository of that name is ours, from a run that was cut
# off after the rename, and complete.
if [ ! -d "$seat" ]; then
  rm -rf "$seat.new"
  git init --quiet --bare --template= "$seat.new"
  # Fetched rather than cloned: a local clone makes hard links, and the chown of the student's
  # home would give away the files of the class as well.
  git --git-dir="$seat.new" fetch --quiet "$class" 'refs/heads/*:refs/heads/*'
  git --git-dir="$seat.new" symbolic-ref HEAD refs/heads/main
  rm -f "$seat.new/FETCH_HEAD" # names a path that is none of the student's business
  mv "$seat.new" "$seat"
fi

# Who sits where, for the trainer: git --git-dir=…/class.git for-each-ref refs/seats
git --git-dir="$class" update-ref "refs/seats/$stdid" refs/heads/main
