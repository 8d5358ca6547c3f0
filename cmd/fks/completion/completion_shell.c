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

static const char powershell_script[] =
    "# PowerShell completion for ~~: ~~ completion powershell | Out-String | Invoke-Expression\n"
    "Register-ArgumentCompleter -Native -CommandName '~~' -ScriptBlock {\n"
    "    param($wordToComplete, $commandAst, $cursorPosition)\n"
    "    # the words as far as the cursor, the last one perhaps empty\n"
    "    $words = @()\n"
    "    $inWord = $false\n"
    "    foreach ($element in $commandAst.CommandElements) {\n"
    "        $start = $element.Extent.StartOffset\n"
    "        if ($start -ge $cursorPosition -and $words.Count -gt 0) { break }\n"
    "        $text = $element.Extent.Text\n"
    "        $inWord = $element.Extent.EndOffset -ge $cursorPosition\n"
    "        if ($inWord) {\n"
    "            $text = $text.Substring(0, [Math]::Min($text.Length, $cursorPosition - $start)).Trim('\"', \"'\")\n"
    "        } elseif ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) {\n"
    "            $text = $element.Value\n"
    "        }\n"
    "        $words += $text\n"
    "    }\n"
    "    # older ways of handing arguments on lose an empty one\n"
    "    $legacy = $PSVersionTable.PSVersion.Major -lt 7 -or \"$PSNativeCommandArgumentPassing\" -in @('', 'Legacy')\n"
    "    $empty = if ($legacy) { '\"\"' } else { '' }\n"
    "    if (-not $inWord) { $words += $empty }\n"
    "    $program = $words[0]\n"
    "    $rest = @($words | Select-Object -Skip 1)\n"
    "    $lines = @(& $program __complete @rest 2> $null)\n"
    "    if ($lines.Count -eq 0) { return }\n"
    "    $directive = [int]\"$($lines[-1])\".TrimStart(':')\n"
    "    $lines = @($lines | Select-Object -SkipLast 1)\n"
    "    # an error, or names of files, which are PowerShell's own to find\n"
    "    if ($directive -band (1 + 8 + 16)) { return }\n"
    "    $typed = if ($inWord) { $words[-1] } else { '' }\n"
    "    $prefix = if ($typed -match '^(-[^=]*=)') { $Matches[1] } else { '' }\n"
    "    $found = @($lines | ForEach-Object {\n"
    "        $name, $about = \"$_\".Split(\"`t\", 2)\n"
    "        [PSCustomObject]@{ Name = $prefix + $name; About = if ($about) { $about } else { ' ' } }\n"
    "    } | Where-Object { $_.Name.StartsWith($typed) })\n"
    "    if (-not ($directive -band 32)) { $found = @($found | Sort-Object -Property Name) }\n"
    "    if ($found.Count -eq 0) {\n"
    "        if ($directive -band 4) { '' }\n"
    "        return\n"
    "    }\n"
    "    $mode = \"$((Get-PSReadLineKeyHandler | Where-Object { $_.Key -eq 'Tab' }).Function)\"\n"
    "    $ends = $mode -eq 'MenuComplete' -or ($mode -eq 'Complete' -and $found.Count -eq 1)\n"
    "    $space = if ($ends -and -not ($directive -band 2)) { ' ' } else { '' }\n"
    "    foreach ($one in $found) {\n"
    "        $insert = ($one.Name -replace '[\\s#@$;,''{}()\"`|<>&]', '`$&') + $space\n"
    "        $shown = if ($mode -eq 'Complete' -and $one.About -ne ' ') { \"$($one.Name)  ($($one.About))\" } else { $one.Name }\n"
    "        if ($ExecutionContext.SessionState.LanguageMode -eq 'FullLanguage') {\n"
    "            [System.Management.Automation.CompletionResult]::new($insert, $shown, 'ParameterValue', $one.About)\n"
    "        } else {\n"
    "            $insert\n"
    "        }\n"
    "    }\n"
    "}\n";

static const struct {
    const char *name, *script;
} shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}, {"powershell", powershell_script}};

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
    (void)err_set(&err, ERR_USAGE, "Unsupported shell type \"%s\".", shell);
    return cli_usage(cli, "completion", &err);
}

int command_completion(struct cli *cli, int argc, char **argv)
{
    const struct cli_command command = {
        .words = "completion",
        .usage = "SHELL [options]",
        .about = "Print the script that makes bash, zsh, fish or PowerShell complete commands, options, types and names of "
                 "objects.",
        .examples = "  # In this shell\n"
                    "  source <(kubectl completion bash)\n\n"
                    "  # In every new bash\n"
                    "  echo 'source <(kubectl completion bash)' >> ~/.bashrc\n\n"
                    "  # In zsh\n"
                    "  source <(kubectl completion zsh)\n\n"
                    "  # In fish\n"
                    "  kubectl completion fish | source\n\n"
                    "  # In PowerShell\n"
                    "  kubectl completion powershell | Out-String | Invoke-Expression\n",
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
