# Completions of zsh: zsh -f probe.zsh SCRIPT LINE... prints the matches of each line, followed by "=".
# Completion needs a terminal, provided by zpty, and the line editor: it runs when the editor starts its first line.
if [[ $1 != inside ]]; then
    zmodload zsh/zpty
    export COLUMNS=200
    matches=$(mktemp)
    zpty probe zsh -f -i
    zpty -w probe "source ${(q)0} inside ${(q)matches} ${(q)@}"
    while zpty -r probe line; do :; done
    cat $matches
    rm $matches
    return
fi

shift
matches=$1
lines=(${(@)argv[3,-1]})
autoload -U compinit && compinit -u -D
source $2
PS1= RPS1=

# Records the matches that are added.
compadd() {
    local -a found
    # With an array for the result, the matches are for the caller only.
    if [[ " ${(@)argv[1,(i)--]} " == *' -'[OAD]' '* ]]; then
        builtin compadd "$@"
        return
    fi
    builtin compadd -A found "$@"
    print -rl -- $found >>$matches
    builtin compadd "$@"
}

zle-line-init() {
    local line
    for line in $lines; do
        BUFFER=$line CURSOR=$#line
        zle complete-word
        print = >>$matches
    done
    exit
}
zle -N zle-line-init
