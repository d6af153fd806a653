# a chain of links that ends outside
ln -s b a && ln -s c b && ln -s d c && ln -s "$OUTSIDE/etc" d
