#!/bin/bash
# Removes what create left outside of the student's home, the seat's mark in the class
# repository. The home itself goes with the RESET of the range.
set -eu
: "${stdid:?}"

class=${GIT101DIR:-$HOME/git101}/class.git

if [ ! -d "$class" ]; then
  exit 0
fi

command -v git >/dev/null || { echo "git is missing on this host: install the package git" >&2; exit 1; }
git --git-dir="$class" update-ref -d "refs/seats/$stdid"
