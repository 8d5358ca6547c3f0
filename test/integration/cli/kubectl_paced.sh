#!/usr/bin/env bash
# kubectl_paced.sh: fks under the name kubectl at the controllers' pace, for those of Kubernetes' tests of kubectl that look at what a
# controller makes right after they asked for it, and that kubectl passes because it needs 50 ms to start. Before each command waits,
# for three seconds at most, until the controllers have seen every change and made the pods. FKS_PACED is fks; FKS_PACE, if set, is a number of
# seconds to wait instead. Of the server it knows what the tests' starters export: SECURE_API_PORT.
set -u

# Lines of workloads that their controller has not looked at since they changed, or whose pods it has still to make.
behind() {
    "$FKS_PACED" --server="https://127.0.0.1:$SECURE_API_PORT" --insecure-skip-tls-verify --token=admin-token get \
        deployments,replicasets,statefulsets,daemonsets,replicationcontrollers --all-namespaces --no-headers \
        -o custom-columns=KIND:.kind,WANTED:.metadata.generation,SEEN:.status.observedGeneration,REPLICAS:.spec.replicas,PODS:.status.replicas \
        2> /dev/null < /dev/null |
        awk '$2 != $3 || ($1 ~ /^Repl/ && $4 != $5)'
}

if [[ -n ${FKS_PACE:-} ]]; then
    sleep "$FKS_PACE"
else
    for ((i = 0; i < 60; i++)); do
        [[ -n $(behind) ]] || break
        sleep 0.05
    done
fi
exec -a kubectl "$FKS_PACED" "$@"
