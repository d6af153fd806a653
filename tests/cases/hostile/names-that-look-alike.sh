# names that are taken for the workshop's by people, not by us
mkdir 'WKSHP-Sample ' 'wkshp-sample' 'WKSHP-Sample.' "$(printf 'WKSHP-Sample\n.')" "$(printf 'WKSHP-S\303\240mple')"
touch "$(printf '\342\200\256gnp.exe')" "$(printf 'a\314\200')" "$(printf '\303\240')" "$(printf '\033[2J')"
