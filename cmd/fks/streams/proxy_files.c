/*
 * proxy_files.c: the files that `proxy --www` serves. A path with a ".." part is not found, whatever it would lead to.
 */
#include "streams/proxy.h"

#include <ctype.h>
#include <dirent.h>
#include <sys/stat.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

static int hex_value(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* Percent escapes undone; NULL for a broken one or a NUL. */
static char *decode(const char *path)
{
    CLEANUP(buf_done) struct buf text = {0};
    for (const char *c = path; *c != '\0'; c++) {
        if (*c != '%') {
            buf_add_char(&text, *c);
            continue;
        }
        if (!isxdigit((unsigned char)c[1]) || !isxdigit((unsigned char)c[2]))
            return NULL;
        int value = hex_value(c[1]) * 16 + hex_value(c[2]);
        if (value == 0)
            return NULL;
        buf_add_char(&text, (char)value);
        c += 2;
    }
    return buf_take(&text);
}

static bool climbs(const char *path)
{
    CLEANUP(strv_done) struct strv parts = {0};
    strv_split(&parts, path, '/');
    return strv_has(&parts, "..");
}

static const char *type_of(const char *name)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"}, {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"}, {".json", "application/json"},
        {".svg", "image/svg+xml"},             {".png", "image/png"},
        {".jpg", "image/jpeg"},                {".gif", "image/gif"},
        {".txt", "text/plain; charset=utf-8"}};
    for (size_t i = 0; i < countof(types); i++) {
        if (ends_with(name, types[i][0]))
            return types[i][1];
    }
    return "application/octet-stream";
}

static void add_escaped(const char *text, struct buf *out)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (strchr("&<>\"'", *c) != NULL)
            buf_printf(out, "&#%d;", *c);
        else
            buf_add_char(out, *c);
    }
}

static void list_folder(struct server_request *request, const char *folder)
{
    CLEANUP(buf_done) struct buf page = {0};
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, NULL, alphasort);
    buf_add_str(&page, "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n");
    for (int i = 0; i < n; i++) {
        const char *slash = entries[i]->d_type == DT_DIR ? "/" : "";
        if (!streq(entries[i]->d_name, ".") && !streq(entries[i]->d_name, "..")) {
            buf_add_str(&page, "<a href=\"");
            url_encode(entries[i]->d_name, &page);
            buf_printf(&page, "%s\">", slash);
            add_escaped(entries[i]->d_name, &page);
            buf_printf(&page, "%s</a>\n", slash);
        }
        free(entries[i]);
    }
    free(entries);
    buf_add_str(&page, "</pre>\n");
    server_respond(request, 200, "text/html; charset=utf-8", buf_text(&page), page.len);
}

/* Links of a page are relative to its folder, so a folder's path has to end with a slash. No header can be set here. */
static void redirect_to_folder(struct server_request *request, const char *path)
{
    CLEANUP(buf_done) struct buf page = {0};
    const char *slash = strrchr(path, '/');
    buf_add_str(&page, "<!doctype html>\n<meta http-equiv=\"refresh\" content=\"0; url=");
    add_escaped(slash != NULL ? slash + 1 : path, &page);
    buf_add_str(&page, "/\">\n");
    server_respond(request, 200, "text/html; charset=utf-8", buf_text(&page), page.len);
}

void proxy_serve_file(struct server_request *request, const char *folder, const char *path)
{
    CLEANUP(xfree) char *plain = decode(path);
    CLEANUP(buf_done) struct buf bytes = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct stat info;
    if (plain == NULL || climbs(plain)) {
        server_respond_text(request, 404, "404 page not found\n");
        return;
    }
    CLEANUP(xfree) char *full = xasprintf("%s%s", folder, plain);
    if (stat(full, &info) == 0 && S_ISDIR(info.st_mode) && !ends_with(full, "/")) {
        redirect_to_folder(request, path);
        return;
    }
    if (stat(full, &info) == 0 && S_ISDIR(info.st_mode)) {
        CLEANUP(xfree) char *index = path_join(full, "index.html", NULL);
        if (!file_exists(index)) {
            list_folder(request, full);
            return;
        }
        free(full);
        full = take(&index);
    }
    if (file_read(full, LIMIT_FILE, &bytes, &err) < 0) {
        server_respond_text(request, err.code == ERR_TOO_BIG ? 500 : 404, "%s\n",
                            err.code == ERR_TOO_BIG ? "the file is too big" : "404 page not found");
        return;
    }
    server_respond(request, 200, type_of(full), buf_text(&bytes), bytes.len);
}
