/*
 * trace.h: what -v tells on standard error, in klog's form: requests and answers (6: a line each, 7: with the request's
 * headers, 8: with all headers and the first bytes of the bodies, 9: more of them, 10: whole bodies).
 */
#pragma once

#include "cli.h"

/* For kube_client_on_trace; data is the struct cli. */
void trace_print(const struct kube_trace *trace, void *data);
/* The last line of a program that gives up within klog's place ("sorter.go:375"); returns the exit code. */
int trace_fatal(const char *place, const char *text);
/* A warning in klog's form. */
void trace_warning(const char *place, const char *text);
/* A line of klog's: "I0102 15:04:05.000000    1234 fks] TEXT", from this verbosity on. */
void trace_line(const struct cli *cli, int64_t verbosity, const char *text);
