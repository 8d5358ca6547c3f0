/*
 * commands.h: every command of fks, one row each: COMMAND(words, function, one-line help). Dispatch takes the longest row
 * whose words match; help and completion are printed from the same rows. A row with a NULL help is hidden.
 * To add one: a row here, a function in a file named after it.
 */

/* Clusters (eksctl's verbs): cmd/fks/cluster/ */
COMMAND("create cluster", command_create_cluster, "Create a cluster")
COMMAND("get cluster", command_get_cluster, "Get clusters")
COMMAND("get clusters", command_get_cluster, NULL)
COMMAND("delete cluster", command_delete_cluster, "Delete a cluster")
COMMAND("start cluster", command_start_cluster, "Start a stopped cluster")
COMMAND("stop cluster", command_stop_cluster, "Stop a cluster, keep its state")
COMMAND("create fargateprofile", command_create_fargateprofile, "Create a Fargate profile")
COMMAND("get fargateprofile", command_get_fargateprofile, "Get Fargate profiles")
COMMAND("get fargateprofiles", command_get_fargateprofile, NULL)
COMMAND("delete fargateprofile", command_delete_fargateprofile, "Delete a Fargate profile")
COMMAND("create nodegroup", command_create_nodegroup, "Create ordinary nodes (kubelets) in a local cluster")
COMMAND("get nodegroup", command_get_nodegroup, "Get node groups")
COMMAND("get nodegroups", command_get_nodegroup, NULL)
COMMAND("delete nodegroup", command_delete_nodegroup, "Delete a node group")
COMMAND("utils write-kubeconfig", command_write_kubeconfig, "Write the kubeconfig entry of a cluster")
COMMAND("cluster-supervisor", command_supervisor, NULL)
