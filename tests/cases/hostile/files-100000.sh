# a hundred thousand files in two hundred directories
# where: /dev/shm
perl -e 'for my $d (1..200) { mkdir "d$d" or die; for (1..500) { open my $f, ">", "d$d/f$_" or die } }'
