/*
 * home.c: see home.h.
 */
#include "home.h"

#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

char *home_path(void)
{
    const char *set = getenv("FKS_HOME");
    if (set != NULL && *set == '/')
        return xstrdup(set);
    if (set != NULL && *set != '\0') {
        CLEANUP(xfree) char *here = get_current_dir_name();
        return path_join(strempty(here), set, NULL);
    }
    const char *home = getenv("HOME");
    return path_join(home != NULL && *home != '\0' ? home : "/root", ".fks", NULL);
}

char *home_of_cluster(const char *name)
{
    CLEANUP(xfree) char *home = home_path();
    return path_join(home, "clusters", name, NULL);
}

int home_check_name(const char *name, struct err *err)
{
    size_t len = strlen(name);
    bool fits = len > 0 && len <= 63 && isalpha((unsigned char)name[0]);
    for (size_t i = 0; fits && i < len; i++)
        fits = isalnum((unsigned char)name[i]) || name[i] == '-';
    if (!fits)
        return err_set(err, ERR_USAGE,
                       "validation for %s failed, name must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*, "
                       "and be at most 63 characters long",
                       name);
    return 0;
}

bool home_has_cluster(const char *name)
{
    CLEANUP(xfree) char *home = home_of_cluster(name);
    return file_exists(home);
}
