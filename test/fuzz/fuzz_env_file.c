/*
 * fuzz_env_file.c: any bytes as an env file, looked through for a name and for one that is not there. What is found came from
 * the file, so it is shorter; a file in which nothing is found was read to its end without complaint.
 */
#include "cmd/fks-node/spec/env_file.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(xfree) char *text = xmalloc(size); /* without a NUL behind it, so that reading on is noticed */
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(err_clear) struct err none_err = {0};
    CLEANUP(xfree) char *value = NULL;
    CLEANUP(xfree) char *none = NULL;

    if (size > 0)
        memcpy(text, data, size);
    int result = env_file_value(text, size, "A", &value, &err);
    int none_result = env_file_value(text, size, "A=", &none, &none_err);
    if (value != NULL && (result < 0 || strlen(value) >= size || *value == '\0'))
        abort();
    if (none != NULL) /* "=" is in no name */
        abort();
    if (result < 0 && none_result == 0 && memchr(text, '\0', size) == NULL) /* a NUL is wrong in what is found only */
        abort();
    return 0;
}
