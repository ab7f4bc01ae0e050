#compdef mote
# Completes command lines of mote in zsh. Made by `mote completion zsh`.

# Learns what a command takes, or mote before one, in the words of _arguments.
_mote_learn() { # COMMAND
    local name short long value about count=0 none
    specs=() commands=()
    while read -r name short long value about; do
        case $name:$short in
        (*:about) commands+=("$name:$about") ;;
        ("$1":takes)
            for value in ${=about}; do
                # After the last one that is mote's there are no options.
                ((++count == long)) && none='(-)' || none=''
                specs+=("$none$count:${value//:/\\:}:_mote_value ${(q)value}")
            done
            ;;
        ("$1":*)
            about="[${${about//\[/\\[}//\]/\\]}]"
            [[ $short != - ]] || short=''
            if [[ $value != - ]]; then
                long+='=' short=${short:+$short+}
                about+=":${value//:/\\:}:_mote_value ${${(q)value}//:/\\:}"
            fi
            specs+=("*$long$about" ${short:+"*$short$about"})
            ;;
        esac
    done <<'END'
@TABLE
END
}

_mote() {
    local mote=${${(Q)words[1]}/#\~\//$HOME/} curcontext=$curcontext state line root ret=1
    local -a specs commands
    local -A opt_args
    _mote_learn mote
    _arguments -C -s -S : $specs '(-)*:: :->command' && ret=0
    if [[ $state == command ]]; then
        root=${opt_args[--root]:+--root=${${(Q)opt_args[--root]}/#\~\//$HOME/}}
        curcontext=${curcontext%:*:*}:mote-$words[1]:
        _mote_learn $words[1]
        _arguments -s -S : $specs && ret=0
    fi
    return ret
}

# Offers what a value or an operand can be: its name, the last word, tells.
_mote_value() { # OPTION-OF-COMPADD... NAME
    local name=$argv[-1]
    local -a names
    argv[-1]=()
    case $name in
    (*\|*) compadd "$@" -- ${(s:|:)name} ;;
    (COMMAND) _describe -t commands command commands ;;
    (ID)
        names=(${(f)"$($mote $root list -q 2>/dev/null)"})
        compadd "$@" -a names
        ;;
    (SIGNAL)
        names=(@SIGNALS)
        [[ $PREFIX != SIG* ]] || names=(SIG$^names)
        compadd "$@" -a names
        ;;
    (DIR) _files "$@" -/ ;;
    (DEST|FILE|SOCKET) _files "$@" ;;
    (*) _message -e $name ;;
    esac
}

# When compinit has found the file, all of it is the function at first; else it is sourced.
if [[ $funcstack[1] == _mote ]]; then
    _mote "$@"
else
    compdef _mote mote
fi
