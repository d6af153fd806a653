# modes with setuid, setgid and sticky bits everywhere
touch suid sgid both all && chmod 4755 suid && chmod 2755 sgid && chmod 6777 both && chmod 7777 all
mkdir d && chmod 7777 d && touch d/f && chmod 7000 d/f
