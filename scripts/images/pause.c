/*
 * pause.c: the one process of a sandbox: it holds the pod's namespaces open, reaps orphans when the pod shares its process
 * namespace, and ends at SIGINT or SIGTERM.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_end(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

static void on_child(int signal_number)
{
    (void)signal_number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
}

int main(void)
{
    if (signal(SIGINT, on_end) == SIG_ERR || signal(SIGTERM, on_end) == SIG_ERR || signal(SIGCHLD, on_child) == SIG_ERR)
        return 1;
    for (;;)
        (void)pause();
}
