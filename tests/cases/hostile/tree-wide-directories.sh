# two thousand directories with a directory each: all must move when removed
# where: /dev/shm
perl -e 'for (1..2000) { mkdir "d$_" or die; mkdir "d$_/e" or die; open my $f, ">", "d$_/e/f" or die }'
