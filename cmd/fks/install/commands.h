/*
 * commands.h: the commands that this folder implements (rows in cmd/fks/commands.h).
 */
#pragma once

#include "cli.h"

command_run command_register_cluster, command_deregister_cluster;
