#!/usr/bin/env bash
# kubectl_suite.sh FUNCTION: runs one function of Kubernetes' tests of kubectl (test/cmd). Started by test_kubectl_suite.py in a copy
# of the tests' folder, with HOME, TMPDIR, SECURE_API_PORT and THIS_PLATFORM_BIN, the folder of the kubectl under test.
set -u
export KUBE_TEMP=$HOME/temp API_HOST=127.0.0.1 CONTEXT=test
mkdir -p "$KUBE_TEMP"
tput() { :; } # colours need a terminal
for file in hack/lib/util.sh hack/lib/logging.sh hack/lib/test.sh test/cmd/legacy-script.sh ./fields.sh ./inline.sh; do
    # shellcheck disable=SC1090
    source "$file"
done
set +o errexit +o nounset -o pipefail
kube::util::ensure-gnu-sed
# what the tests' own main function sets
SUPPORTED_RESOURCES=("*")
kube_flags=(-s "https://127.0.0.1:$SECURE_API_PORT" --insecure-skip-tls-verify --match-server-version)
kube_flags_without_token=("${kube_flags[@]}")
kube_flags_with_token=("${kube_flags[@]}" --token=admin-token)
export SUPPORTED_RESOURCES kube_flags kube_flags_without_token kube_flags_with_token
"$1"
code=$?
stop-proxy > /dev/null 2>&1
exit $code
