# whatever somebody else's shell, editor, git, ssh or Python would run when it starts in here
trap='touch "$OUTSIDE"/empty/ran'
for name in .bashrc .bash_profile .profile .bash_logout .bash_login .zshenv .zshrc .kshrc .xprofile .envrc; do echo "$trap" >"$name"; done
mkdir -p .ssh .config/fish/conf.d .config/git .config/pip .local/lib/python3/site-packages .ipython/profile_default/startup .jupyter .git/hooks bin
echo "$trap" | tee .ssh/rc .ssh/environment .config/fish/conf.d/a.fish bin/ls bin/ssh-keygen bin/chpasswd .git/hooks/post-checkout >/dev/null
chmod 755 bin/* .git/hooks/*
printf 'Host *\n ProxyCommand %s\n' "$trap" >.ssh/config
printf '[core]\n fsmonitor = %s\n pager = %s\n hooksPath = /\n' "$trap" "$trap" | tee .gitconfig .config/git/config .git/config >/dev/null
printf 'au VimEnter * !%s\n' "$trap" | tee .vimrc .exrc >/dev/null
echo "shell $trap" >.gdbinit
printf 'import os\nos.system("""%s""")\n' "$trap" | tee .pythonrc .local/lib/python3/site-packages/usercustomize.py sitecustomize.py .ipython/profile_default/startup/00.py .jupyter/jupyter_server_config.py >/dev/null
