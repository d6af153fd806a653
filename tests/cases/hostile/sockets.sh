# sockets, bound and abandoned
perl -MSocket -e 'mkdir "d"; for my $n ("sock", "d/agent") { socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; bind($s, sockaddr_un($n)) or die "$n: $!"; }' 2>/dev/null \
    || { echo "the path is too long for a socket, or perl has no Socket"; exit 77; }
chmod 000 sock
