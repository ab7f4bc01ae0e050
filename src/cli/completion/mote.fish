# Completes command lines of mote in fish, 3.1 or later. Made by `mote completion fish`.

# Whether the cursor is in a command, or in mote before one, at one of these operands; at an option's value as many
# as there are before it.
function __mote_at # COMMAND FROM TO
    set -l wanted $argv
    # An empty word stands for the one at the cursor.
    set -l words (commandline -opc) ''
    argparse -s $__mote_options_mote -- $words[2..] 2>/dev/null
    or return
    if test $wanted[1] = mote
        test (count $argv) -le 1
        return
    end
    test "$argv[1]" = $wanted[1] -a (count $argv) -gt 1
    or return
    set -l options __mote_options_$wanted[1]
    argparse $$options -- $argv[2..] 2>/dev/null
    or return
    test (count $argv) -ge $wanted[2] -a (count $argv) -le $wanted[3]
end

# The containers below the root that the line names.
function __mote_ids
    set -l words (string replace -r '^~/' "$HOME/" -- (commandline -opc))
    argparse -s $__mote_options_mote -- $words[2..] 2>/dev/null
    $words[1] --root=$_flag_root list -q 2>/dev/null
end

function __mote_signals
    set -l prefix (string match -r '^SIG' -- (commandline -ct))
    string join \n -- "$prefix"(string split ' ' -- '@SIGNALS')
end

# Offers an option, or what its value or an operand can be: the name tells.
function __mote_complete # COMMAND FROM TO NAME OPTION-OF-COMPLETE...
    set -l what -f
    switch $argv[4]
        case '*|*'
            set -a what -a (string replace -a '|' ' ' -- $argv[4])
        case ID
            set -a what -a '(__mote_ids)'
        case SIGNAL
            set -a what -a '(__mote_signals)'
        case DIR
            set -a what -a '(__fish_complete_directories)'
        case DEST FILE SOCKET
            set what -F
    end
    complete -c mote -n "__mote_at $argv[1..3]" $what $argv[5..]
end

# Goes by a line of the table.
function __mote_learn # COMMAND -B --BUNDLE VALUE ABOUT
    switch $argv[2]
        case about
            __mote_complete mote 1 1 - -a $argv[1] -d $argv[5]
        case takes
            set -g __mote_options_$argv[1]
            set -g __mote_last_$argv[1] $argv[3]
            set -l count 0
            for name in (string split ' ' -- $argv[5])
                set count (math $count + 1)
                __mote_complete $argv[1] $count $count $name
            end
        case '*'
            set -l last __mote_last_$argv[1]
            set -l long (string sub -s 3 -- $argv[3])
            set -l short (string match -r '[^-]' -- $argv[2])
            # Not -?, which argparse does not take.
            set -l spec (string join / -- (string match -r '[a-zA-Z]' -- $short) $long)
            set -l more -d $argv[5] -l $long -s$short
            if test $argv[4] != -
                set spec $spec=
                set -a more -r
            end
            set -ga __mote_options_$argv[1] $spec
            __mote_complete $argv[1] 0 $$last $argv[4] $more
    end
end

complete -c mote -e
complete -c mote -f
for line in (string match -ar '.+' -- "
@TABLE
")
    __mote_learn (string split -m 4 ' ' -- $line)
end
