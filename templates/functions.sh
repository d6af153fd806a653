#!/bin/bash
# For workshop scripts: `source functions.sh`, or `source $WODSCRIPTDIR/functions.sh`.
#
# Facts come from the backend, by `wod facts`; no registry is asked and no token is needed. A fact
# that is not set is printed as null. An unknown workshop or participant is an error: one line on
# stderr, status 1.
#
# Passwords, homes and processes are the backend's own work, done by root in a fixed order around
# each script. The functions for them are here because scripts call them; each says what is done
# instead. None of them does anything that WODUSER may not do.

_wod_fact() {
    "${WODPROGRAM:-wod}" facts "$@"
}

_wod_not_ours() { # FUNCTION WHY
    echo "$1: nothing to do, the backend $2" >&2
}

# --- Facts of a workshop, by its id ($wid) or its name ($w, $ws) ---------------------------------

wod_get_workshop_id() { # NAME
    _wod_fact workshop "${1-}" id
}

# The first and the last student of the workshop, local numbers.
wod_get_range_min() { # ID
    _wod_fact workshop "${1-}" range-min
}

wod_get_range_max() { # ID
    _wod_fact workshop "${1-}" range-max
}

# true or false
wod_get_reset_status() { # ID
    _wod_fact workshop "${1-}" reset
}

wod_get_ldap_status() { # ID
    _wod_fact workshop "${1-}" ldap
}

wod_get_varpass_status() { # ID
    _wod_fact workshop "${1-}" varpass
}

wod_get_monoappliance_status() { # ID
    _wod_fact workshop "${1-}" monoappliance
}

wod_get_multiappliance_status() { # ID
    _wod_fact workshop "${1-}" multiappliance
}

# The scripts to be compiled, with commas between them.
wod_get_compile_status() { # ID
    _wod_fact workshop "${1-}" compile
}

# IP-<WORKSHOP> of the inventory as it is written there, x.y.z.t where it is not configured.
wod_get_appliance_baseip() { # NAME
    printenv "IP-${1/#CHLG-/WKSHP-}" && return
    echo "wod_get_appliance_baseip: IP-${1/#CHLG-/WKSHP-} is not set in the inventory" >&2
    return 1
}

# --- Facts of a participant ----------------------------------------------------------------------

# Whether the CLEANUP of this participant is over: true or false.
wod_get_cleaned_status() { # CUSTOMER
    _wod_fact participant "${1-}" cleaned
}

# --- What the backend does itself ----------------------------------------------------------------

# The password of the seat is in randompw before any script runs, and the account, the directory
# and the registry are told that one. Another one would lock the student out, so it stays.
wod_generate_randompwd() {
    if [ -z "${randompw:-}" ]; then
        echo "wod_generate_randompwd: randompw is not set: the backend sets it for its scripts" >&2
        return 1
    fi
    export randompw
}

# Workshops with ldap: true. Done before the create, cleanup and reset scripts.
wod_update_ldap_passwd() {
    _wod_not_ours wod_update_ldap_passwd "has told the directory where the workshop has ldap: true"
}

# PASSSTU in the seat's pass file. The backend writes it before the create script of a workshop
# with varpass: true or ldap: true; for others it is written here. The backend removes the file
# when templates are rendered and post-copy scripts are over.
wod_create_var_passwd() {
    local dir=${WODANSIBLEPRIVDIR:-}/${WODGROUP:-}/pass file sealed
    file=$dir/variables_${ws:-}_${stdid:-}.yml
    if [ -z "${ws:-}" ] || [ -z "${stdid:-}" ] || [ -z "${randompw:-}" ] || [ ! -d "$dir" ]; then
        echo "wod_create_var_passwd: needs ws, stdid, randompw and the directory $dir" >&2
        return 1
    fi
    if grep -qs '^PASSSTU:' "$file"; then
        return
    fi
    sealed=$(_wod_seal PASSSTU) || return
    (umask 077 && printf '%s\n' "$sealed" >>"$file")
}

# randompw as an encrypted line for a vars file. Passwords go through pipes, not through arguments.
_wod_seal() { # NAME
    local secret=${WODANSIBLEPRIVDIR:-}/vault_secret
    local seal=("${WODPROGRAM:-wod}" vault encrypt-string --name "$1")
    if [ -n "${VAULTPWD:-}" ]; then
        printf %s "$randompw" | "${seal[@]}" --vault-password-file <(printf %s "$VAULTPWD")
    elif [ -r "$secret" ]; then
        printf %s "$randompw" | "${seal[@]}" --vault-password-file "$secret"
    else
        echo "wod_create_var_passwd: no vault password: set VAULTPWD or write $secret" >&2
        return 1
    fi
}

# A home is erased before it is made, and after the cleanup and reset scripts; only root can do
# that without following what a student planted there.
wod_erase_student() {
    _wod_not_ours wod_erase_student "erases the home itself"
}

# All processes of the account are ended before a seat is made and when it is given back.
wod_cleanup_processes_student() {
    _wod_not_ours wod_cleanup_processes_student "ends the student's processes itself"
}
