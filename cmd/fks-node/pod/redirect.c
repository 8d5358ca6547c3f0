/*
 * redirect.c: redirects of HTTP probes, by the kubelet's rule: a probe follows those that stay on its host, so that a page
 * which only moved is asked itself; one that leads to another host tells nothing about the pod and is not followed.
 */
#include "pod/redirect.h"

#include "base/mem.h"
#include "base/str.h"

struct place { /* an absolute URL in three parts: "http", "[::1]:80", "/path?query" */
    struct str scheme, authority, rest;
};

bool redirect_is(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static struct str until(const char *text, const char *ends)
{
    return (struct str){text, strcspn(text, ends)};
}

static bool split(const char *url, struct place *ret)
{
    ret->scheme = until(url, ":/?#");
    const char *after = url + ret->scheme.len;

    if (!starts_with(after, "://"))
        return false;
    ret->authority = until(after + 3, "/?#");
    ret->rest = until(ret->authority.p + ret->authority.len, "#");
    return true;
}

static struct str host_of(struct str authority)
{
    const char *begin = authority.p, *end = authority.p + authority.len;

    for (const char *p = begin; p < end; p++)
        if (*p == '@')
            begin = p + 1;
    if (begin < end && *begin == '[')
        for (const char *p = begin; p < end; p++)
            if (*p == ']')
                return (struct str){begin, (size_t)(p + 1 - begin)};
    struct str host = {begin, (size_t)(end - begin)};
    for (size_t i = 0; i < host.len; i++)
        if (host.p[i] == ':')
            host.len = i;
    return host;
}

static bool same(struct str a, struct str b)
{
    return a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
}

/* What of the base's path stays in front of a location without one of its own. */
static struct str kept_path(struct str rest, const char *location)
{
    size_t len = strcspn(rest.p, "?#");

    if (len > rest.len)
        len = rest.len;
    while (*location != '?' && len > 0 && rest.p[len - 1] != '/')
        len--;
    return (struct str){rest.p, len};
}

char *redirect_target(const char *url, const char *location)
{
    CLEANUP(xfree) char *target = NULL;
    struct place base, place;

    if (!split(url, &base) || strempty(location)[0] == '\0')
        return NULL;
    struct str first = until(location, ":/?#");
    if (location[first.len] == ':') {
        target = xstrdup(location);
    } else if (starts_with(location, "//")) {
        target = xasprintf("%.*s:%s", (int)base.scheme.len, base.scheme.p, location);
    } else {
        struct str kept = *location == '/' ? (struct str){"", 0} : kept_path(base.rest, location);
        bool slash = *location == '/' || kept.len > 0;
        target = xasprintf("%.*s://%.*s%s%.*s%s", (int)base.scheme.len, base.scheme.p, (int)base.authority.len,
                           base.authority.p, slash ? "" : "/", (int)kept.len, kept.p, location);
    }
    if (!split(target, &place) || (!str_is_nocase(place.scheme, "http") && !str_is_nocase(place.scheme, "https")) ||
        !same(host_of(base.authority), host_of(place.authority)))
        return NULL;
    return xasprintf("%.*s://%.*s%.*s", (int)place.scheme.len, place.scheme.p, (int)place.authority.len,
                     place.authority.p, (int)place.rest.len, place.rest.p);
}
