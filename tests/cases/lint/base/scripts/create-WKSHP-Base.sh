#!/bin/bash
# Appends a token to the pass file of the seat.
set -eu
: "${passfile:?}"
printf 'TOKEN: %s\n' "$stdid" >>"$passfile"
printf '%s\n' "$randompw" >"$stddir/.password"
