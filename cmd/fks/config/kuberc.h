/*
 * kuberc.h: a user's own defaults and aliases: the file ~/.kube/kuberc (kind Preference of kubectl.config.k8s.io), or what
 * --kuberc or $KUBERC names. https://kubernetes.io/docs/reference/kubectl/kuberc/
 */
#pragma once

#include "cli.h"

/* What the file asks for on this command line. {0} is valid: nothing. */
struct kuberc {
    struct json *preference; /* as v1beta1 has it, or NULL */
    struct json *allowlist;  /* the names of its credential plugins, or NULL */
    struct strv line;        /* the command line with an alias replaced by what it stands for; empty: no alias */
    const char *alias;       /* of the alias, borrowed from the preference; or NULL */
};
void kuberc_done(struct kuberc *kuberc);
DEFINE_CLEANUP_IN_PLACE(struct kuberc, kuberc_done)

/* False with $KUBECTL_KUBERC=false: then there is no --kuberc, and no file is read. */
bool kuberc_is_enabled(void);
/* The file to read; NULL with $KUBERC=off. ret_explicit: the user named it, so it must be there. */
int kuberc_path(const char *flag, char **ret, bool *ret_explicit, struct err *err) MUST_CHECK;
/*
 * Reads and checks the file that the line names, and replaces an alias. first_word: the place of the first word in argv, 0
 * if there is none. The overrides of cli get the policy of credential plugins. Errors are whole sentences in kubectl's
 * words.
 */
int kuberc_load(struct cli *cli, int argc, char *const *argv, int first_word, struct kuberc *ret,
                struct err *err) MUST_CHECK;
/* The options that the file presets for a command ("set image"), for cli_parse: name and value in turn. */
void kuberc_presets(const struct kuberc *kuberc, const char *words, struct strv *out);

/* The preference with its members in the order of their type and nothing else; ERR_PARSE if a member has another type. */
int kuberc_normalize(const struct json *preference, struct json **ret, struct err *err) MUST_CHECK;
