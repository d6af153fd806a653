#!/bin/sh
# Makes one PDF of each notebook of this workshop, beside it. Needs nbconvert, and what it
# needs for PDF (xelatex and pandoc); says so when they are missing.
set -eu
cd "$(dirname "$0")"
for tool in jupyter pandoc xelatex; do
  command -v "$tool" >/dev/null || {
    echo "wod-generate-pdf: $tool is not installed here; ask your teacher" >&2
    exit 1
  }
done
exec jupyter nbconvert --to pdf ./*.ipynb
