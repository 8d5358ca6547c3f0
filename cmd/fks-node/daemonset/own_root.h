/*
 * own_root.h: a root file system for containerd on a host that belongs to somebody else: our programs and their libraries, the
 * host's everything else.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"

/*
 * Copies /usr, /lib and /lib64 of this container to the folder (on the host's disk), whose name tells what is in it; what is
 * there already is kept. They outlive this container and its image: shims need runc for as long as their pods run.
 */
int own_root_copy(const char *folder, struct err *err) MUST_CHECK;

/*
 * Makes the folder the root of this process, in a mount namespace of its own, with every folder of the host (seen at host_root)
 * in its place, but those of programs and libraries. What is mounted below them is mounted on the host, and the other way round.
 */
int own_root_enter(const char *host_root, const char *folder, struct err *err) MUST_CHECK;
