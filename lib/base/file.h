/*
 * file.h: descriptors and whole files.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"

/* CLEANUP(fd_close) int fd = -1; closes unless negative; returns -1. */
int fd_close(int fd);
static inline void fd_close_cleanup(int *fd)
{
    if (*fd >= 0)
        (void)fd_close(*fd);
}
int fd_set_nonblocking(int fd, struct err *err) MUST_CHECK;
/* Writes all bytes, blocking (polls when the fd is non-blocking). */
int fd_write_all(int fd, const void *data, size_t len, struct err *err) MUST_CHECK;
/* Reads to the end of file, at most buf->max. */
int fd_read_all(int fd, struct buf *buf, struct err *err) MUST_CHECK;

/* A whole file of at most max bytes into *buf (initialised here). ERR_NOT_FOUND, ERR_FORBIDDEN, ERR_TOO_BIG. */
int file_read(const char *path, size_t max, struct buf *ret, struct err *err) MUST_CHECK;
/* Replaces path atomically: temporary file in the same folder, fsync, rename. mode is exact (umask ignored). */
int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err) MUST_CHECK;
/* The same without waiting for the disk: readers see the old or the new bytes, a power cut may leave neither. */
int file_write_cache(const char *path, const void *data, size_t len, mode_t mode, struct err *err) MUST_CHECK;
bool file_exists(const char *path);
/* mkdir -p; folders made here get mode; existing ones stay as they are. */
int dir_make(const char *path, mode_t mode, struct err *err) MUST_CHECK;
/* rm -rf, does not follow symlinks, does not cross into mounts (ERR_BUSY names the mount); absent is success. */
int dir_remove(const char *path, struct err *err) MUST_CHECK;
/* a/b/c from parts, NULL-ended; heap string. */
char *path_join(const char *first, ...) SENTINEL MUST_CHECK;
