# names that are patterns
touch '*' '?' '[a-z]' '~' '~root' '{a,b}' '**'
mkdir '*d' && touch '*d/*'
