/*
 * bind.h: the last step: a pod goes to the Node that its host made for it.
 */
#pragma once

#include "scheduler.h"

/* Binds if the pod is reserved and not bound, its Node is Ready and its host alive; otherwise does nothing. */
void bind_try(struct pod *pod);
