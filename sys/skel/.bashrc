# interactive shells only: scp and notebooks' %%bash must not see output or aliases
case $- in
  *i*) ;;
  *) return ;;
esac

PS1='\u:\w\$ '
HISTCONTROL=ignoredups
alias ll='ls -l'
