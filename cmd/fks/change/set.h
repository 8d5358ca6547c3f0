/*
 * set.h: what the `set` commands share: objects are selected, each is changed here, and the difference is sent as a
 * patch. set.c has the way of all of them and the small ones, set_env.c and set_subject.c the others.
 */
#pragma once

#include "objects/write.h"
#include "print/output.h"

struct set {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    const char *verb;             /* "image updated" */
    const char *failed;           /* before the text of a patch that was refused: "failed to patch ...:"; or NULL */
    const char *resource_version; /* the only one to be changed; or NULL */
    const char *containers;       /* -c: which containers, may have * */
    bool send_unchanged;          /* also an empty patch is sent and told */
    bool plain_errors;            /* a change's error does not get the object's name */
    struct failures problems;     /* what a change finds wrong without giving up */
};
#define SET_INIT(cli_pointer, done)                                                                                \
    {                                                                                                              \
        .cli = (cli_pointer), .write = {.field_manager = "kubectl-set"}, .output_options = {.hide_missing = true}, \
        .verb = (done), .containers = "*"                                                                          \
    }
#define SET_OPTIONS(set)                                                                                              \
    SELECTION_FILE_OPTIONS(&(set)->selection), OUTPUT_OPTIONS(&(set)->output_options),                                \
        WRITE_DRY_RUN_OPTION(&(set)->write), WRITE_MANAGER_OPTION(&(set)->write),                                     \
        {.name = "all",                                                                                               \
         .type = OPT_BOOL,                                                                                            \
         .value = &(set)->selection.all,                                                                              \
         .help = "All resources of the types, in the namespace."},                                                    \
    {                                                                                                                 \
        .name = "local", .type = OPT_BOOL, .value = &(set)->selection.local, .help = "Change the file's object only." \
    }
#define SET_CONTAINERS_OPTION(set)                                                                             \
    {                                                                                                          \
        .name = "containers", .letter = 'c', .type = OPT_STRING, .value = &(set)->containers, .argument = "*", \
        .help = "The containers to change, by name; * stands for any characters."                              \
    }
void set_done(struct set *set);
DEFINE_CLEANUP_IN_PLACE(struct set, set_done)

/* Changes the object in place. 1: changed, 0: nothing to do, negative: it cannot be. */
typedef int set_change(struct set *set, void *data, const struct item *item, struct json *object, struct err *err);
/* Reads the objects, changes each and sends what differs. resources: the arguments that name them. Returns the exit
 * code. */
int set_run(struct set *set, const struct strv *resources, set_change *change, void *data);

/* As set_run, for objects that were selected before. */
int set_run_items(struct set *set, const struct items *items, set_change *change, void *data);

/* The options are good and were given in kubectl's combinations; ERR_USAGE. First call of each command. */
int set_check(struct set *set, struct err *err) MUST_CHECK;
/* The objects that the arguments or files name; what cannot be read goes to failures. */
int set_select(struct set *set, const struct strv *resources, struct items *ret, struct failures *failures,
               struct err *err) MUST_CHECK;
/* The pod spec in an object that has pods or makes them; ERR_UNSUPPORTED for others. */
int set_pod_spec(struct json *object, struct json **ret, struct err *err) MUST_CHECK;
/* Adds the members that kubectl's types always have. */
void set_fill_types(struct json *object);
/* The next container that --containers selects, init containers last; NULL: there is none. *position is 0 at first. */
struct json *set_next_container(const struct set *set, struct json *spec, size_t *position);
