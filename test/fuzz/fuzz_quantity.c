/* fuzz_quantity.c: both readers agree (units are thousandths rounded up), and canonical text reads back as its
 * value. */
#include "base/mem.h"
#include "data/quantity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_print(int64_t value, void (*print)(int64_t, struct buf *),
                        int (*parse)(const char *, int64_t *, struct err *))
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    int64_t again;

    print(value, &text);
    if (parse(buf_text(&text), &again, &err) < 0 || again != value)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(xfree) char *text = xstrndup((const char *)data, size);
    CLEANUP(err_clear) struct err milli_err = {0};
    CLEANUP(err_clear) struct err units_err = {0};
    int64_t milli, units;
    int milli_r = quantity_parse_milli(text, &milli, &milli_err),
        units_r = quantity_parse_units(text, &units, &units_err);

    if ((milli_r == ERR_PARSE) != (units_r == ERR_PARSE) || (milli_r == 0 && units_r != 0))
        abort();
    if (units_r == 0)
        check_print(units, quantity_print_bytes, quantity_parse_units);
    if (milli_r != 0)
        return 0;
    check_print(milli, quantity_print_milli, quantity_parse_milli);
    if (milli >= 0 && units != milli / 1000 + (milli % 1000 != 0))
        abort();
    return 0;
}
