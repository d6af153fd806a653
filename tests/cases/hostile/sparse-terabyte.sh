# a sparse file of a terabyte
truncate -s 1T big 2>/dev/null || { echo "no file of this size here"; exit 77; }
