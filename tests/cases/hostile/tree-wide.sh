# twenty thousand files in one directory
# where: /dev/shm
perl -e 'mkdir "w"; chdir "w"; for (1..20000) { open my $f, ">", "f$_" or die }'
