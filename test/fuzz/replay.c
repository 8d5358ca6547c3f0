/*
 * replay.c: main for fuzz targets without libFuzzer: gives every file of the folders or files named on the command line to
 * the target once. A crash ends the program, which is the failure.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    struct stat state;
    if (stat(path, &state) != 0) {
        fprintf(stderr, "%s: not there\n", path);
        return 1;
    }
    if (S_ISDIR(state.st_mode)) {
        DIR *folder = opendir(path);
        int r = folder == NULL;
        for (const struct dirent *entry; r == 0 && (entry = readdir(folder)) != NULL;) {
            CLEANUP(xfree) char *child = path_join(path, entry->d_name, NULL);
            if (entry->d_name[0] != '.')
                r = replay(child);
        }
        if (folder != NULL)
            closedir(folder);
        return r;
    }
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    if (file_read(path, LIMIT_FILE, &text, &err) < 0) {
        fprintf(stderr, "%s\n", err_text(&err));
        return 1;
    }
    /* an exact copy, so that reading one byte too far is seen */
    uint8_t *exact = xmalloc(text.len);
    if (text.len > 0)
        memcpy(exact, text.data, text.len);
    (void)LLVMFuzzerTestOneInput(exact, text.len);
    free(exact);
    return 0;
}

int main(int argc, char **argv)
{
    int r = 0;
    for (int i = 1; i < argc; i++)
        r |= replay(argv[i]);
    return r;
}
