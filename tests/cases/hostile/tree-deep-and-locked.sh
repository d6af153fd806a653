# a tree 300 deep in which every directory has mode 000 and siblings
perl -e 'my @d; for (1..300) { mkdir "d" or die; mkdir "e"; open my $f, ">", "f"; opendir(my $h, ".") or die; push @d, $h; chdir "d" or die }
for my $h (reverse @d) { chdir $h or die; chmod 0, "d", "e", "f" }'
