# Completes command lines of mote in bash, 4.3 or later. Made by `mote completion bash`.

# Learns what a command takes, or mote before one.
_mote_learn() { # COMMAND
    local name short long value about
    commands=() options=() operands=() rest=99
    while read -r name short long value about; do
        case $name:$short in
        *:about) commands+=("$name") ;;
        "$1":takes)
            rest=$long
            read -ra operands <<<"$about"
            ;;
        "$1":*)
            [[ $value == - ]] && value='' || value="=$value"
            options+=("$long$value")
            [[ $short == - ]] || options+=("$short$value")
            ;;
        esac
    done <<'END'
@TABLE
END
}

_mote() { # MOTE
    local mote=${1/#\~\//$HOME/} words=() commands options operands rest current over='' stem='' kept=''
    local word command='' count=0 option='' name='' root='' cut='' after_cut IFS=$' \t\n'
    # bash cuts words at = and :, and replaces only what is after the last cut.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        after_cut=$cut cut=''
        [[ ! $word || $word == *[!=:]* ]] || cut=$word
        if [[ $cut$after_cut && ${#words[@]} != 0 ]]; then
            kept=${words[-1]}$cut
            words[-1]+=$word
        else
            kept=''
            words+=("$word")
        fi
    done
    current=${words[-1]}
    _mote_learn mote
    for word in "${words[@]:0:${#words[@]}-1}"; do
        _mote_pass "$word"
    done
    if [[ $name ]]; then
        _mote_value "$name"
    elif [[ ! $over && $current == --*=* ]]; then
        stem=${current%%=*}=
        _mote_option "${current%%=*}"
        _mote_value "$name"
    elif [[ ! $over && $current == -* ]]; then
        _mote_offer "${options[@]%%=*}"
    else
        _mote_value "${operands[count]-}"
    fi
}

# Goes past a word before the cursor.
_mote_pass() { # WORD
    if [[ $name ]]; then
        [[ $option != --root ]] || root=$1
        name=''
    elif [[ $over || $1 != -?* ]]; then
        if [[ $command ]]; then
            ((++count < rest)) || over=1
        else
            command=$1
            _mote_learn "$1"
        fi
    elif [[ $1 == -- ]]; then
        over=1
    elif [[ $1 == --root=* ]]; then
        root=${1#*=}
    else
        _mote_option "$1"
    fi
}

# Remembers an option, and what its value is called if it has one.
_mote_option() { # OPTION
    local row
    option=$1
    for row in "${options[@]}"; do
        [[ $row != "$1="* ]] || name=${row#*=}
    done
}

# Offers what a value or an operand can be: its name tells.
_mote_value() { # NAME
    local words=()
    case $1 in
    *'|'*) IFS='|' read -ra words <<<"$1" ;;
    COMMAND) words=("${commands[@]}") ;;
    ID)
        root=${root//[\"\'\\]/}
        mapfile -t words < <("$mote" ${root:+"--root=${root/#\~\//$HOME/}"} list -q 2>/dev/null)
        ;;
    SIGNAL)
        words=(@SIGNALS)
        [[ $current != SIG* ]] || stem=SIG
        ;;
    DIR) compopt -o dirnames ;;
    DEST | FILE | SOCKET) compopt -o default ;;
    esac
    _mote_offer "${words[@]}"
}

# Offers those of the words that begin like the one at the cursor.
_mote_offer() { # WORD...
    local word
    for word; do
        word=$stem$word
        [[ $word != "$current"* ]] || COMPREPLY+=("${word:${#kept}}")
    done
}

complete -F _mote mote
