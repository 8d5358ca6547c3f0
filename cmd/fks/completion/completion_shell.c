/*
 * completion_shell.c: `completion SHELL`: the script that makes a shell ask `fks __complete` at TAB. A script only passes the
 * words on and obeys the answer's last line; all knowledge is in completion.c and completion_args.c.
 */
#include "completion/completion.h"

/* In the scripts ~~ stands for the program's name. */
static const char bash_script[] =
    "# bash completion for ~~: source <(~~ completion bash)\n"
    "__~~_complete() {\n"
    "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" cword=$COMP_CWORD prefix directive line\n"
    "    local -a words=(\"${COMP_WORDS[@]}\") lines=() found=()\n"
    "    # '=' and ':' belong to a word: the package bash-completion can put words together again\n"
    "    if declare -F _get_comp_words_by_ref > /dev/null; then\n"
    "        _get_comp_words_by_ref -n =: cur words cword\n"
    "    fi\n"
    "    mapfile -t lines < <(~~ __completeNoDesc \"${words[@]:1:cword-1}\" \"$cur\" 2> /dev/null)\n"
    "    ((${#lines[@]} > 0)) || return\n"
    "    directive=${lines[-1]#:}\n"
    "    unset 'lines[-1]'\n"
    "    COMPREPLY=()\n"
    "    if ((directive & 8)); then\n"
    "        compopt -o filenames\n"
    "        mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n"
    "        for line in \"${lines[@]}\"; do\n"
    "            mapfile -t found < <(compgen -f -X \"!*.$line\" -- \"$cur\")\n"
    "            COMPREPLY+=(\"${found[@]}\")\n"
    "        done\n"
    "        return\n"
    "    fi\n"
    "    ((directive & 2)) && compopt -o nospace\n"
    "    ((directive & 4)) && compopt +o default\n"
    "    prefix=${cur%\"${cur##*[=:]}\"} # what bash has left of the cursor's word already\n"
    "    COMPREPLY=(\"${lines[@]#\"$prefix\"}\")\n"
    "}\n"
    "complete -o default -F __~~_complete ~~\n";

static const char zsh_script[] =
    "#compdef ~~\n"
    "# zsh completion for ~~: source <(~~ completion zsh), or a file _~~ in a folder of $fpath\n"
    "_~~() {\n"
    "    local -a lines found\n"
    "    local directive line name\n"
    "    lines=(\"${(@f)$(~~ __complete \"${(@)words[2,CURRENT-1]}\" \"${words[CURRENT]}\" 2> /dev/null)}\")\n"
    "    directive=${lines[-1]#:}\n"
    "    lines=(\"${(@)lines[1,-2]}\")\n"
    "    [[ $directive == <-> ]] || return 1\n"
    "    if (( directive & 8 )); then\n"
    "        _files -g \"*.(${(j:|:)lines})\"\n"
    "        return\n"
    "    fi\n"
    "    for line in \"${lines[@]}\"; do\n"
    "        name=${line%%$'\\t'*}\n"
    "        [[ -n $name ]] || continue\n"
    "        found+=(\"${name//:/\\\\:}${${line#$name}/$'\\t'/:}\")\n"
    "    done\n"
    "    [[ ${words[CURRENT]} == -*=* ]] && compset -P '*='\n"
    "    if (( ${#found} )); then\n"
    "        if (( directive & 2 )); then _describe -V ~~ found -S ''; else _describe -V ~~ found; fi\n"
    "    elif (( !(directive & 4) )); then\n"
    "        _files\n"
    "    fi\n"
    "}\n"
    "if [[ ${funcstack[1]} == _~~ ]]; then _~~; else compdef _~~ ~~; fi\n";

static const char fish_script[] =
    "# fish completion for ~~: ~~ completion fish | source\n"
    "function __~~_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l typed (commandline -ct)\n"
    "    set -l lines (~~ __complete $words[2..-1] \"$typed\" 2> /dev/null)\n"
    "    set -q lines[1]; or return\n"
    "    set -l directive (string replace ':' '' -- $lines[-1])\n"
    "    set -e lines[-1]\n"
    "    if test (math \"bitand($directive, 8)\") -ne 0\n"
    "        for extension in $lines\n"
    "            __fish_complete_suffix \"$typed\" \".$extension\"\n"
    "        end\n"
    "    else if set -q lines[1]\n"
    "        set -l prefix (string match -r -- '^-[^=]*=' \"$typed\")\n"
    "        for line in $lines\n"
    "            echo \"$prefix$line\"\n"
    "        end\n"
    "    else if test (math \"bitand($directive, 4)\") -eq 0\n"
    "        __fish_complete_path \"$typed\"\n"
    "    end\n"
    "end\n"
    "complete -c ~~ -f -a '(__~~_complete)'\n";

static const struct {
    const char *name, *script;
} shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

static int print_script(const struct cli *cli, const char *shell)
{
    CLEANUP(err_clear) struct err err = {0};
    for (size_t i = 0; i < countof(shells); i++) {
        if (!streq(shells[i].name, shell))
            continue;
        for (const char *text = shells[i].script, *mark; text != NULL; text = mark) {
            mark = strstr(text, "~~");
            printf("%.*s%s", mark != NULL ? (int)(mark - text) : (int)strlen(text), text, mark != NULL ? cli->program : "");
            mark = mark != NULL ? mark + 2 : NULL;
        }
        return 0;
    }
    if (streq(shell, "powershell"))
        (void)err_set(&err, ERR_UNSUPPORTED, "powershell is not available: there are bash, zsh and fish.");
    else
        (void)err_set(&err, ERR_USAGE, "Unsupported shell type \"%s\".", shell);
    return cli_usage(cli, "completion", &err);
}

int command_completion(struct cli *cli, int argc, char **argv)
{
    const struct cli_command command = {
        .words = "completion",
        .usage = "SHELL [options]",
        .about = "Print the script that makes bash, zsh or fish complete commands, options, types and names of objects. There "
                 "is none for PowerShell.",
        .examples = "  # In this shell\n"
                    "  source <(kubectl completion bash)\n\n"
                    "  # In every new bash\n"
                    "  echo 'source <(kubectl completion bash)' >> ~/.bashrc\n\n"
                    "  # In zsh\n"
                    "  source <(kubectl completion zsh)\n\n"
                    "  # In fish\n"
                    "  kubectl completion fish | source\n",
    };
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (args.n == 1)
        return print_script(cli, args.items[0]);
    (void)err_set(&err, ERR_USAGE,
                  args.n == 0 ? "Shell not specified." : "Too many arguments. Expected only the shell type.");
    return cli_usage(cli, "completion", &err);
}
