# a link with the longest target there is
perl -e 'symlink("../" x 1364 . "etc", "long") or die; symlink("x" x 4000, "x") or die'
