# names that a shell, a log or a format string would trip over
touch 'a\b' "it's" 'say "hi"' '$(reboot)' '`reboot`' '%s%n' ';reboot' '&' '|' '{}' '!x'
mkdir '$HOME' && touch '$HOME/f'
