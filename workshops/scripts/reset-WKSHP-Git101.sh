#!/bin/bash
# Seeds the class repository, from which create fills the repository of each seat. Runs once
# for the whole range, as WODUSER. With --if-missing an existing one is left alone.
set -eu

classdir=${GIT101DIR:-$HOME/git101}

command -v git >/dev/null || { echo "git is missing on this host: install the package git" >&2; exit 1; }

# The admin's own git settings (signing, hooks, name) must not end in what students get; fixed
# names and dates give every class the same commit numbers.
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME="Tea House" GIT_AUTHOR_EMAIL=tea@example.org
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
export GIT_AUTHOR_DATE="2026-03-02T09:00:00Z" GIT_COMMITTER_DATE="2026-03-02T09:00:00Z"

recipe() { # LEAVES MILK
  printf '# A pot of tea\n\n1. Warm the pot.\n2. %s\n3. Pour on boiling water, wait four minutes.\n4. %s\n' "$1" "$2"
}

commit() { # MESSAGE [PARENT]; the recipe on stdin, prints the commit
  local blob tree
  blob=$(git hash-object -w --stdin)
  tree=$(printf '100644 blob %s\trecipe.md\n' "$blob" | git mktree)
  git commit-tree "$tree" ${2:+-p "$2"} -m "$1"
}

seed() { # DIRECTORY
  git init --quiet --bare --template= "$1"
  local -x GIT_DIR=$1
  local first second other
  first=$(recipe "Some leaves." "Add milk." | commit "Write the recipe down")
  second=$(recipe "One spoon of leaves for each cup, and one for the pot." "Add milk at the very end." |
    commit "Say how much, and when" "$first")
  other=$(recipe "Some leaves." "Too late: the milk was in the cup before the tea." |
    commit "Milk goes first" "$first")
  git update-ref refs/heads/main "$second"
  git update-ref refs/heads/milk-first "$other"
  git symbolic-ref HEAD refs/heads/main
}

mkdir -p "$classdir"
# Seats are created side by side, and two of them may find the repository missing.
exec 9>"$classdir/lock"
flock -w 120 9 || { echo "$classdir/lock is held for two minutes: look for a hanging Git101 script" >&2; exit 1; }

if [ "${1:-}" = --if-missing ] && [ -d "$classdir/class.git" ]; then
  exit 0
fi

# Built aside and renamed: what is named class.git is complete, wherever an earlier run died.
rm -rf "$classdir/class.new"
seed "$classdir/class.new"
rm -rf "$classdir/class.git"
mv "$classdir/class.new" "$classdir/class.git"
