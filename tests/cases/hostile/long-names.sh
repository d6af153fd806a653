# two thousand names of 255 bytes, files and directories
# where: /dev/shm
perl -e 'for my $i (1..2000) { my $n = sprintf("%0255d", $i); if ($i % 10) { open my $f, ">", $n or die } else { mkdir $n or die; open my $f, ">", "$n/" . "x" x 255 or die } }'
