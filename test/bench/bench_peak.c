/*
 * bench_peak.c: PROGRAM ARGUMENT...: runs it with its output thrown away and prints "SECONDS KIB": how long it took and its peak
 * resident memory. A small process must be the parent: until exec a child counts as large as whoever forked it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

int main(int argc, char **argv)
{
    int status = 0;
    struct rusage usage;
    if (argc < 2)
        return 2;
    int64_t start_ns = clock_wall_ns();
    pid_t child = fork();
    if (child < 0)
        return 2;
    if (child == 0) {
        int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (nothing < 0 || dup2(nothing, STDOUT_FILENO) < 0)
            _exit(127);
        execv(argv[1], argv + 1);
        _exit(127);
    }
    if (wait4(child, &status, 0, &usage) != child)
        return 2;
    printf("%.6f %ld\n", (double)(clock_wall_ns() - start_ns) / 1e9, usage.ru_maxrss);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
