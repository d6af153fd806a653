# names that are not UTF-8, one of them a directory
perl -e 'for my $n ("\xff", "a\x80b", "\xc3\x28", "\xed\xa0\x80") { mkdir $n or die; open my $f, ">", "$n/\xfe\xff" or die }'
