# names with line breaks, tabs, escapes and a carriage return
perl -e 'for my $n ("a\nb", "\n", "\t", "\e[2J", "x\rroot", "/etc\n" =~ s,/,,r) { mkdir $n or die; open my $f, ">", "$n/\n" or die }'
