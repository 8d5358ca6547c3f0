/*
 * plugin.h: programs called kubectl-NAME or fks-NAME in PATH are commands: "fks foo bar" runs kubectl-foo-bar or
 * kubectl-foo.
 */
#pragma once

/*
 * Runs the plugin that the words of argv (up to the first option) name, the longest name first, in this process's
 * place; returns only if there is none. least: how many words the name must have.
 */
void plugin_run(int argc, char **argv, int least);
