/*
 * runtime.h: `fks-node runtime`, the other container of the DaemonSet's pods: a containerd for the agent on a host whose own one
 * belongs to a kubelet.
 */
#pragma once

/* Arguments after "runtime". The exit code. */
int runtime_main(int argc, char **argv);
