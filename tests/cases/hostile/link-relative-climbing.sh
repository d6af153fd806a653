# relative links with many ".."
mkdir -p a/b/c && ln -s ../../outside/etc out && ln -s ../../../../../outside/home a/b/c/out
ln -s ../../../../../../../../../../../../etc/passwd a/b/p && ln -s a/../../.. back
