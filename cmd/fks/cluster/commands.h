/*
 * commands.h: the commands that this folder implements (rows in cmd/fks/commands.h).
 */
#pragma once

#include "cli.h"

command_run command_create_cluster, command_get_cluster, command_delete_cluster, command_start_cluster, command_stop_cluster;
command_run command_create_fargateprofile, command_get_fargateprofile, command_delete_fargateprofile;
command_run command_create_nodegroup, command_get_nodegroup, command_delete_nodegroup;
command_run command_write_kubeconfig, command_supervisor;
