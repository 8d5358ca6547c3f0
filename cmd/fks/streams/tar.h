/*
 * tar.h: tar archives as cp sends and receives them: POSIX ustar, GNU long names, pax paths and sizes. Reading is for
 * bytes from a container that may lie: lengths are capped and names are given as they are, not to be trusted.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"

enum tar_type { TAR_FILE, TAR_FOLDER, TAR_SYMLINK, TAR_HARD_LINK, TAR_OTHER };

struct tar_entry {
    enum tar_type type;
    char *path, *link; /* owned; link: where a symbolic or hard link leads, else NULL */
    int64_t size;      /* bytes of content that follow */
    mode_t mode;
    int64_t mtime_s;
};
void tar_entry_done(struct tar_entry *entry);
DEFINE_CLEANUP_IN_PLACE(struct tar_entry, tar_entry_done)

/* Fills up to len bytes; the number, 0 at the end, negative with err set. */
typedef ssize_t tar_source(void *data, void *bytes, size_t len, struct err *err);

/* {.source = ..., .data = ...} is ready. */
struct tar_reader {
    tar_source *source;
    void *data;
    int64_t left;    /* content of the current entry that was not read yet */
    int64_t padding; /* up to the next block */
};
/* The next entry; what is left of the last one is skipped. 1: *ret (cleared first) is filled, 0: the end. ERR_PARSE. */
int tar_next(struct tar_reader *reader, struct tar_entry *ret, struct err *err) MUST_CHECK;
/* Content of the current entry; 0 at its end. ERR_PARSE when the archive ends before. */
ssize_t tar_read(struct tar_reader *reader, void *bytes, size_t len, struct err *err) MUST_CHECK;

/* Appends an entry's header. The content and tar_add_padding follow. */
void tar_add_header(const struct tar_entry *entry, struct buf *out);
void tar_add_padding(int64_t size, struct buf *out);
void tar_add_end(struct buf *out);

/*
 * The place of an archive's name below a folder: `prefix` taken off, no ".." part, nothing absolute. NULL when the name
 * would lead out of it. "" is the folder itself. Heap string.
 */
char *tar_safe_path(const char *name, const char *prefix) MUST_CHECK;
