/*
 * progress.h: the lines that tell a person what a cluster command is doing, in eksctl's layout, always on stderr:
 *     2026-01-02 03:04:05 [ℹ]  creating cluster "demo" in "local" region with Fargate profile
 */
#pragma once

#include "base/compiler.h"

enum progress_kind { PROGRESS_INFO, PROGRESS_SUCCESS, PROGRESS_WARNING, PROGRESS_CRITICAL };

void progress(enum progress_kind kind, const char *format, ...) PRINTF(2, 3);
