/*
 * names.c: see names.h. The programs read other names from their command lines, once; from there they are handed on.
 */
#include "fargate/names.h"

#include "base/str.h"

#define NODE_PREFIX_END "ip-" /* what follows "fargate-" is a Node's host name, too */

const struct fargate_names fargate_names_usual = {
    .scheduler = FARGATE_SCHEDULER, .profile_label = FARGATE_PROFILE_LABEL, .node_prefix = FARGATE_NODE_PREFIX};

static bool is_made_of(const char *text, const char *characters)
{
    return *text != '\0' && text[strspn(text, characters)] == '\0';
}

int fargate_names_check(const struct fargate_names *names, struct err *err)
{
    static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
    const char *slash = strchr(names->profile_label, '/');

    if (!is_made_of(names->scheduler, lower))
        return err_set(err, ERR_USAGE, "'%s' is no scheduler's name", names->scheduler);
    if (slash == NULL || strspn(names->profile_label, lower) != (size_t)(slash - names->profile_label) ||
        slash == names->profile_label || !is_made_of(slash + 1, lower))
        return err_set(err, ERR_USAGE, "'%s' is no label of the form PREFIX/NAME", names->profile_label);
    if (starts_with(names->profile_label, FKS_PREFIX))
        return err_set(err, ERR_USAGE, "labels under " FKS_PREFIX " cannot be chosen: nobody but FKS may set them");
    if (!is_made_of(names->node_prefix, lower) || !ends_with(names->node_prefix, NODE_PREFIX_END))
        return err_set(err, ERR_USAGE, "'%s' is no beginning of names, or does not end with '" NODE_PREFIX_END "'",
                       names->node_prefix);
    return 0;
}
