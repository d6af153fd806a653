# a tree 200 deep with names of 255 bytes
perl -e 'my $n = "n" x 255; for (1..200) { mkdir $n or die; open my $f, ">", "f" or die; chdir $n or die }'
