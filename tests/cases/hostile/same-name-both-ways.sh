# a name in composed and decomposed form, in both cases, and our own temporary names
perl -e 'for my $n ("\xc3\xa9", "e\xcc\x81", "README", "readme", ".wod-1-1-1", ".wod-trash") { mkdir $n or die; open my $f, ">", "$n/$n" or die }'
