#!/bin/bash
# kubectl_paced.sh: fks under the name kubectl at the controllers' pace, for those of Kubernetes' tests of kubectl that look at what a
# controller makes right after they asked for it, and that kubectl passes because it needs 50 ms to start. Before each command it waits,
# three seconds at most, until the controllers have done what there is to do. FKS_PACED is fks; FKS_PACE, if set, is a number of seconds
# to wait instead. Of the server it knows what the starters of the tests export: SECURE_API_PORT. PATH is the tests' own.
set -u

# A line for each workload that its controller has not looked at since it changed, or whose pods it has still to make, and for each
# approved request whose certificate it has still to sign.
behind() {
    "$FKS_PACED" --server="https://127.0.0.1:$SECURE_API_PORT" --insecure-skip-tls-verify --token=admin-token get \
        deployments,replicasets,statefulsets,daemonsets,replicationcontrollers,certificatesigningrequests --all-namespaces --no-headers \
        -o 'custom-columns=1:.kind,2:.metadata.generation,3:.status.observedGeneration,4:.spec.replicas,5:.status.replicas,'\
'6:.status.conditions[0].type,7:.status.certificate' 2> /dev/null < /dev/null |
        PATH=/usr/bin:/bin awk '$2 != $3 || ($1 ~ /^Repl/ && $4 != $5) || ($6 == "Approved" && $7 == "<none>")'
}

if [[ -n ${FKS_PACE:-} ]]; then
    PATH=/usr/bin:/bin sleep "$FKS_PACE"
else
    for ((i = 0; i < 60; i++)); do
        [[ -n $(behind) ]] || break
        PATH=/usr/bin:/bin sleep 0.05
    done
fi
exec -a kubectl "$FKS_PACED" "$@"
