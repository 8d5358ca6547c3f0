/*
 * tar.c: tar headers, both ways. Format: POSIX.1-1988 ustar, pax (POSIX.1-2001) and GNU's 'L' and 'K' records.
 * https://www.gnu.org/software/tar/manual/html_node/Standard.html
 */
#include "streams/tar.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#define BLOCK 512
#define NAME_RECORD_MAX KIB(64) /* of a long name or a pax record */
#define TAR_SIZE_MAX (INT64_MAX / 4) /* so that sums of sizes do not overflow */

struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[8], owner[32],
        group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

void tar_entry_done(struct tar_entry *entry)
{
    free(entry->path);
    free(entry->link);
    *entry = (struct tar_entry){0};
}

/* --- reading */

/* len bytes or the end: 1, 0 at the very end, ERR_PARSE in the middle. */
static int read_whole(struct tar_reader *reader, void *bytes, size_t len, struct err *err)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = reader->source(reader->data, (char *)bytes + done, len - done, err);
        if (n < 0)
            return (int)n;
        if (n == 0 && done == 0)
            return 0;
        if (n == 0)
            return err_set(err, ERR_PARSE, "tar: the archive ends in the middle of a block");
        done += (size_t)n;
    }
    return 1;
}

static int skip(struct tar_reader *reader, int64_t len, struct err *err)
{
    char bytes[4096];
    while (len > 0) {
        size_t piece = len < (int64_t)sizeof(bytes) ? (size_t)len : sizeof(bytes);
        int got = read_whole(reader, bytes, piece, err);
        if (got == 0)
            return err_set(err, ERR_PARSE, "tar: the archive ends in the middle of an entry");
        if (got < 0)
            return got;
        len -= (int64_t)piece;
    }
    return 0;
}

/* Octal text, or GNU's base 256 when the first bit is set. Negative: broken. */
static int64_t number(const char *field, size_t len)
{
    int64_t value = 0;
    if ((field[0] & 0x80) != 0) {
        value = field[0] & 0x3f;
        for (size_t i = 1; i < len; i++) {
            if (value > INT64_MAX >> 9)
                return -1;
            value = value << 8 | (unsigned char)field[i];
        }
        return value;
    }
    size_t i = 0;
    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] != '\0' && field[i] != ' '; i++) {
        if (field[i] < '0' || field[i] > '7')
            return -1;
        value = value * 8 + (field[i] - '0');
    }
    return value;
}

static bool has_right_sum(const struct header *header)
{
    const unsigned char *bytes = (const unsigned char *)header;
    int64_t sum = 0;
    size_t at = offsetof(struct header, checksum);
    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= at && i < at + sizeof(header->checksum) ? ' ' : bytes[i];
    return number(header->checksum, sizeof(header->checksum)) == sum;
}

static char *field_text(const char *field, size_t len)
{
    return xstrndup(field, strnlen(field, len));
}

static bool is_empty(const struct header *header)
{
    static const struct header zero;
    return memcmp(header, &zero, BLOCK) == 0;
}

/* The content of a record about the next entry. */
static int read_record(struct tar_reader *reader, int64_t size, struct buf *ret, struct err *err)
{
    if (size < 0 || size > (int64_t)NAME_RECORD_MAX)
        return err_set(err, ERR_TOO_BIG, "tar: a name of %lld bytes", (long long)size);
    char *room = buf_reserve(ret, (size_t)size);
    if (size > 0 && (room == NULL || read_whole(reader, room, (size_t)size, err) != 1))
        return err->code != 0 ? (int)err->code : err_set(err, ERR_PARSE, "tar: the archive ends in a name");
    buf_advance(ret, (size_t)size);
    return skip(reader, (BLOCK - size % BLOCK) % BLOCK, err);
}

/* "27 path=some/long/name\n" records. */
static int read_pax(const struct buf *text, char **path, char **link, int64_t *size, struct err *err)
{
    struct str rest = {buf_text(text), text->len};
    while (rest.len > 0) {
        size_t digits = 0;
        size_t len = 0;
        while (digits < rest.len && digits < 9 && rest.p[digits] >= '0' && rest.p[digits] <= '9')
            len = len * 10 + (size_t)(rest.p[digits++] - '0');
        if (digits == 0 || digits == rest.len || rest.p[digits] != ' ' || len <= digits + 1 || len > rest.len ||
            rest.p[len - 1] != '\n')
            return err_set(err, ERR_PARSE, "tar: a broken pax record");
        struct str pair = {rest.p + digits + 1, len - digits - 2}, key, value;
        (void)str_cut(pair, '=', &key, &value);
        char **text_of = str_is(key, "path") ? path : str_is(key, "linkpath") ? link : NULL;
        if (text_of != NULL) {
            free(*text_of);
            *text_of = xstrndup(value.p, value.len);
        }
        if (str_is(key, "size")) {
            CLEANUP(xfree) char *digits_text = xstrndup(value.p, value.len);
            if (parse_int(digits_text, 0, INT64_MAX, size, err) < 0)
                return err_wrap(err, "tar: size");
        }
        rest.p += len;
        rest.len -= len;
    }
    return 0;
}

static enum tar_type type_of(char type)
{
    switch (type) {
    case '0':
    case '\0':
    case '7':
        return TAR_FILE;
    case '5':
        return TAR_FOLDER;
    case '2':
        return TAR_SYMLINK;
    case '1':
        return TAR_HARD_LINK;
    default:
        return TAR_OTHER;
    }
}

static void fill_entry(const struct header *header, char **long_path, char **long_link, struct tar_entry *ret)
{
    CLEANUP(xfree) char *name = field_text(header->name, sizeof(header->name));
    CLEANUP(xfree) char *prefix = field_text(header->prefix, sizeof(header->prefix));
    bool has_prefix = memcmp(header->magic, "ustar", 6) == 0 && prefix[0] != '\0';
    ret->path = *long_path != NULL ? take(long_path)
                                   : has_prefix ? xasprintf("%s/%s", prefix, name) : xstrdup(name);
    ret->type = type_of(header->type);
    if (ret->type == TAR_SYMLINK || ret->type == TAR_HARD_LINK)
        ret->link = *long_link != NULL ? take(long_link) : field_text(header->link, sizeof(header->link));
    if (ret->type == TAR_FILE && ends_with(ret->path, "/"))
        ret->type = TAR_FOLDER; /* archives older than POSIX */
    ret->mode = (mode_t)number(header->mode, sizeof(header->mode)) & 07777;
    ret->mtime_s = number(header->mtime, sizeof(header->mtime));
}

int tar_next(struct tar_reader *reader, struct tar_entry *ret, struct err *err)
{
    CLEANUP(xfree) char *path = NULL;
    CLEANUP(xfree) char *link = NULL;
    int64_t pax_size = -1;
    tar_entry_done(ret);
    if (skip(reader, reader->left + reader->padding, err) < 0)
        return err->code;
    reader->left = reader->padding = 0;
    for (;;) {
        struct header header;
        int got = read_whole(reader, &header, BLOCK, err);
        if (got <= 0 || is_empty(&header))
            return got < 0 ? got : 0;
        int64_t size = number(header.size, sizeof(header.size));
        if (!has_right_sum(&header) || size < 0)
            return err_set(err, ERR_PARSE, "tar: invalid tar header");
        if (strchr("LKxg", header.type) != NULL && header.type != '\0') {
            CLEANUP(buf_done) struct buf record = {0};
            if (read_record(reader, size, &record, err) < 0)
                return err->code;
            char **text_of = header.type == 'L' ? &path : header.type == 'K' ? &link : NULL;
            if (text_of != NULL) {
                free(*text_of);
                *text_of = xstrdup(buf_text(&record));
            } else if (header.type == 'x' && read_pax(&record, &path, &link, &pax_size, err) < 0) {
                return err->code;
            }
            continue;
        }
        if (header.type == 'S')
            return err_set(err, ERR_UNSUPPORTED, "tar: sparse files are not available");
        fill_entry(&header, &path, &link, ret);
        ret->size = pax_size >= 0 ? pax_size : size;
        if (ret->size > TAR_SIZE_MAX)
            return err_set(err, ERR_TOO_BIG, "tar: '%s' is too large", ret->path);
        reader->left = ret->size;
        reader->padding = (BLOCK - ret->size % BLOCK) % BLOCK;
        return 1;
    }
}

ssize_t tar_read(struct tar_reader *reader, void *bytes, size_t len, struct err *err)
{
    size_t piece = (int64_t)len < reader->left ? len : (size_t)reader->left;
    if (piece == 0)
        return 0;
    ssize_t n = reader->source(reader->data, bytes, piece, err);
    if (n == 0)
        return err_set(err, ERR_PARSE, "tar: the archive ends in the middle of an entry");
    if (n > 0)
        reader->left -= n;
    return n;
}

/* --- writing */

static void put_number(char *field, size_t len, int64_t value)
{
    if (value < 0)
        value = 0;
    for (size_t i = len - 1; i-- > 0; value /= 8)
        field[i] = (char)('0' + value % 8);
}

/* Past what the octal digits hold: base 256. */
static void put_size(struct header *header, int64_t size)
{
    if (size < (int64_t)1 << 33) {
        put_number(header->size, sizeof(header->size), size);
        return;
    }
    header->size[0] = (char)0x80;
    for (size_t i = sizeof(header->size); i-- > 1; size >>= 8)
        header->size[i] = (char)(size & 0xff);
}

static void add_block(char type, const char *name, const char *link, const struct tar_entry *entry, int64_t size,
                      struct buf *out)
{
    struct header header = {.type = type, .magic = "ustar"};
    memcpy(header.magic + 6, "00", 2);
    memcpy(header.name, name, strnlen(name, sizeof(header.name)));
    memcpy(header.link, link, strnlen(link, sizeof(header.link)));
    put_number(header.mode, sizeof(header.mode), entry->mode & 07777);
    put_number(header.uid, sizeof(header.uid), 0);
    put_number(header.gid, sizeof(header.gid), 0);
    put_size(&header, size);
    put_number(header.mtime, sizeof(header.mtime), entry->mtime_s);
    memset(header.checksum, ' ', sizeof(header.checksum));
    unsigned sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += ((const unsigned char *)&header)[i];
    put_number(header.checksum, sizeof(header.checksum) - 1, sum);
    header.checksum[6] = '\0';
    buf_add(out, &header, BLOCK);
}

/* A name too long for the header goes before it. */
static void add_long(char type, const char *text, struct buf *out)
{
    const struct tar_entry none = {.mode = 0644};
    if (strlen(text) <= 100)
        return;
    size_t len = strlen(text) + 1;
    add_block(type, "././@LongLink", "", &none, (int64_t)len, out);
    buf_add(out, text, len);
    tar_add_padding((int64_t)len, out);
}

void tar_add_header(const struct tar_entry *entry, struct buf *out)
{
    const char *link = strempty(entry->link);
    char type = entry->type == TAR_FOLDER ? '5' : entry->type == TAR_SYMLINK ? '2' : '0';
    add_long('K', link, out);
    add_long('L', entry->path, out);
    add_block(type, entry->path, link, entry, entry->type == TAR_FILE ? entry->size : 0, out);
}

void tar_add_padding(int64_t size, struct buf *out)
{
    static const char zero[BLOCK];
    buf_add(out, zero, (size_t)((BLOCK - size % BLOCK) % BLOCK));
}

void tar_add_end(struct buf *out)
{
    static const char zero[2 * BLOCK];
    buf_add(out, zero, sizeof(zero));
}

/* --- where an entry may go */

char *tar_safe_path(const char *name, const char *prefix)
{
    CLEANUP(strv_done) struct strv parts = {0};
    CLEANUP(strv_done) struct strv kept = {0};
    size_t len = strlen(prefix);
    if (strncmp(name, prefix, len) != 0)
        return NULL;
    strv_split(&parts, name + len, '/');
    for (size_t i = 0; i < parts.n; i++) {
        if (streq(parts.items[i], ".."))
            return NULL;
        if (parts.items[i][0] != '\0' && !streq(parts.items[i], "."))
            strv_add(&kept, parts.items[i]);
    }
    return strv_join(&kept, "/");
}
