# links in a loop, to themselves and to the directory they are in
ln -s a a && ln -s c b && ln -s b c && ln -s . here && ln -s .. up && mkdir d && ln -s ../d d/d
