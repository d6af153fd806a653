# a tree of 4096 directories, deeper than any path can name
# where: /dev/shm
perl -e 'for (1..4096) { mkdir "d" or die; chdir "d" or die } open my $f, ">", "leaf" or die; symlink("/", "root") or die'
