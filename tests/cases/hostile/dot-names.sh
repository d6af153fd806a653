# names made of dots and a trailing dot or space
mkdir .b '...' '.. ' ' ' && touch .b/... '.../....' ' /.a' '.a.' '..a' '. .'
mkdir .a && touch .a/.a
