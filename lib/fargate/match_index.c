/*
 * match_index.c: selectors by what they demand literally. A pod asks under its namespace, under each beginning and end of it
 * that some selector demands, and under each of these together with each of its labels. What it finds is tried in full by
 * match.c; what it does not find cannot match.
 */
#include "fargate/match_index.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { LITERAL_MAX = 63, KEYS_MAX = 2 * LITERAL_MAX + 3 }; /* of a namespace; longer literals are filed shortened */
enum kind { WHOLE, BEGINNING, END };

struct entry {
    uint64_t key;
    struct fargate_candidate candidate;
};

struct fargate_index {
    const struct fargate_profile *items;
    struct entry *entries; /* sorted by key, then profile, then selector */
    size_t n_entries;
    uint32_t *slots; /* hashed by key: the first entry of the key, plus one; 0: free */
    size_t mask;
    uint32_t *by_name; /* positions of profiles in the order of their names */
    size_t n_profiles;
    uint64_t beginnings, ends; /* which lengths are demanded, a bit each */
    struct strv label_keys;    /* demanded literally by some selector that is filed under a label; sorted, each once */
};

/* --- keys: FNV-1a, because the key of each longer beginning follows from the one before */

#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static uint64_t add_byte(uint64_t hash, char c)
{
    return (hash ^ (unsigned char)c) * FNV_PRIME;
}

static uint64_t add_text(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = add_byte(hash, *text);
    return add_byte(hash, '\0');
}

static uint64_t start_of(enum kind kind)
{
    return add_byte(FNV_START, (char)kind);
}

static uint64_t label_part(const char *key, const char *value)
{
    return add_text(add_text(FNV_START, key), value);
}

/* label: 0: none. The shifts spread what multiplications leave in the upper bits. */
static uint64_t join(uint64_t namespace_part, uint64_t label)
{
    uint64_t key = namespace_part ^ (label << 1 | label >> 63);

    key ^= key >> 31;
    key *= FNV_PRIME;
    return key ^ key >> 29;
}

/* --- filing */

static bool is_literal(const char *text)
{
    return strpbrk(text, "*?") == NULL;
}

static uint64_t namespace_key(struct fargate_index *index, const char *pattern)
{
    size_t len = strlen(pattern);
    size_t beginning = strcspn(pattern, "*?"), end = 0;
    uint64_t key;

    if (beginning == len) {
        key = start_of(WHOLE);
        for (size_t i = 0; i < len; i++)
            key = add_byte(key, pattern[i]);
        return key;
    }
    while (pattern[len - 1 - end] != '*' && pattern[len - 1 - end] != '?')
        end++;
    beginning = beginning < LITERAL_MAX ? beginning : LITERAL_MAX;
    end = end < LITERAL_MAX ? end : LITERAL_MAX;
    if (beginning >= end) {
        index->beginnings |= UINT64_C(1) << beginning;
        key = start_of(BEGINNING);
        for (size_t i = 0; i < beginning; i++)
            key = add_byte(key, pattern[i]);
        return key;
    }
    index->ends |= UINT64_C(1) << end;
    key = start_of(END);
    for (size_t i = 0; i < end; i++)
        key = add_byte(key, pattern[len - 1 - i]);
    return key;
}

static void file_selector(struct fargate_index *index, struct fargate_candidate candidate)
{
    const struct fargate_selector *selector = &index->items[candidate.profile].selectors[candidate.selector];
    uint64_t label = 0;

    for (size_t i = 0; i < selector->n_labels && label == 0; i++) {
        const struct fargate_label *wanted = &selector->labels[i];
        if (!is_literal(wanted->key) || !is_literal(wanted->value))
            continue;
        label = label_part(wanted->key, wanted->value);
        strv_add(&index->label_keys, wanted->key);
    }
    index->entries[index->n_entries++] =
        (struct entry){join(namespace_key(index, selector->namespace), label), candidate};
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;

    if (left->key != right->key)
        return left->key < right->key ? -1 : 1;
    if (left->candidate.profile != right->candidate.profile)
        return left->candidate.profile < right->candidate.profile ? -1 : 1;
    return left->candidate.selector < right->candidate.selector ? -1 : 1;
}

static void fill_slots(struct fargate_index *index)
{
    size_t n_slots = 16;

    while (n_slots < index->n_entries * 2)
        n_slots *= 2;
    index->slots = xcalloc(n_slots, sizeof(*index->slots));
    index->mask = n_slots - 1;
    for (size_t i = 0; i < index->n_entries; i++) {
        if (i > 0 && index->entries[i].key == index->entries[i - 1].key)
            continue;
        size_t at = index->entries[i].key & index->mask;
        while (index->slots[at] != 0)
            at = (at + 1) & index->mask;
        index->slots[at] = (uint32_t)i + 1;
    }
}

/* Leaves each of the sorted keys once. */
static void unite_label_keys(struct strv *keys)
{
    size_t kept = 0;

    strv_sort(keys);
    for (size_t i = 0; i < keys->n; i++) {
        if (kept > 0 && streq(keys->items[kept - 1], keys->items[i]))
            free(keys->items[i]);
        else
            keys->items[kept++] = keys->items[i];
    }
    keys->n = kept;
}

static int compare_names(const void *a, const void *b, void *data)
{
    const struct fargate_index *index = data;
    return strcmp(index->items[*(const uint32_t *)a].name, index->items[*(const uint32_t *)b].name);
}

struct fargate_index *fargate_index_new(const struct fargate_profile *items, size_t n)
{
    struct fargate_index *index = NEW(struct fargate_index);
    size_t n_selectors = 0;

    index->items = items;
    index->n_profiles = n;
    index->by_name = xcalloc(n, sizeof(*index->by_name));
    for (size_t i = 0; i < n; i++) {
        n_selectors += items[i].n_selectors;
        index->by_name[i] = (uint32_t)i;
    }
    qsort_r(index->by_name, n, sizeof(*index->by_name), compare_names, index);
    index->entries = xcalloc(n_selectors, sizeof(*index->entries));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < items[i].n_selectors; k++)
            file_selector(index, (struct fargate_candidate){(uint32_t)i, (uint32_t)k});
    qsort(index->entries, index->n_entries, sizeof(*index->entries), compare_entries);
    fill_slots(index);
    unite_label_keys(&index->label_keys);
    return index;
}

struct fargate_index *fargate_index_free(struct fargate_index *index)
{
    if (index == NULL)
        return NULL;
    free(index->entries);
    free(index->slots);
    free(index->by_name);
    strv_done(&index->label_keys);
    free(index);
    return NULL;
}

/* --- asking */

struct question {
    const struct fargate_index *index;
    uint64_t keys[KEYS_MAX]; /* of the namespace */
    size_t n_keys;
    fargate_accepts *accepts;
    const void *data;
    struct fargate_candidate best;
    bool found;
};

static void collect_keys(struct question *question, const char *namespace)
{
    size_t len = strlen(namespace);
    uint64_t whole = start_of(WHOLE), beginning = start_of(BEGINNING), end = start_of(END);

    for (size_t i = 0; i <= len; i++) {
        if (i <= LITERAL_MAX && (question->index->beginnings >> i & 1) != 0)
            question->keys[question->n_keys++] = beginning;
        if (i <= LITERAL_MAX && (question->index->ends >> i & 1) != 0)
            question->keys[question->n_keys++] = end;
        if (i == len)
            break;
        whole = add_byte(whole, namespace[i]);
        beginning = add_byte(beginning, namespace[i]);
        end = add_byte(end, namespace[len - 1 - i]);
    }
    question->keys[question->n_keys++] = whole;
}

static bool is_before(struct fargate_candidate a, struct fargate_candidate b)
{
    return a.profile != b.profile ? a.profile < b.profile : a.selector < b.selector;
}

static void try_key(struct question *question, uint64_t key)
{
    const struct fargate_index *index = question->index;
    size_t at = key & index->mask;

    while (index->slots[at] != 0 && index->entries[index->slots[at] - 1].key != key)
        at = (at + 1) & index->mask;
    if (index->slots[at] == 0)
        return;
    for (size_t i = index->slots[at] - 1; i < index->n_entries && index->entries[i].key == key; i++) {
        struct fargate_candidate candidate = index->entries[i].candidate;
        if (question->found && !is_before(candidate, question->best))
            return;
        if (question->accepts(candidate, question->data)) {
            question->best = candidate;
            question->found = true;
            return;
        }
    }
}

static void try_label(struct question *question, uint64_t label)
{
    for (size_t i = 0; i < question->n_keys; i++)
        try_key(question, join(question->keys[i], label));
}

/* Whichever are fewer: a pod may come with thousands of labels. */
static void try_labels(struct question *question, const struct json *labels)
{
    const struct strv *keys = &question->index->label_keys;
    void *position = NULL;
    const char *key;
    const struct json *value;

    if (keys->n < json_len(labels)) {
        for (size_t i = 0; i < keys->n; i++) {
            const char *text = json_string_value(json_member(labels, keys->items[i]));
            if (text != NULL)
                try_label(question, label_part(keys->items[i], text));
        }
        return;
    }
    while (json_next(labels, &position, &key, &value)) {
        const char *text = json_string_value(value);
        if (text != NULL)
            try_label(question, label_part(key, text));
    }
}

bool fargate_index_find(const struct fargate_index *index, const char *namespace, const struct json *labels,
                        fargate_accepts *accepts, const void *data, struct fargate_candidate *ret)
{
    struct question question = {.index = index, .accepts = accepts, .data = data};

    collect_keys(&question, namespace);
    try_label(&question, 0);
    if (index->label_keys.n > 0)
        try_labels(&question, labels);
    if (question.found)
        *ret = question.best;
    return question.found;
}

int64_t fargate_index_profile(const struct fargate_index *index, const char *name)
{
    size_t low = 0, high = index->n_profiles;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(index->items[index->by_name[middle]].name, name);
        if (order == 0)
            return index->by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}
