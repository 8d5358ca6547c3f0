"""Kubernetes' own tests of kubectl (the functions of its test/cmd), with fks under the name kubectl.

The tests come with the control plane's programs (scripts/assets/kubectl-suite); nothing of theirs is in this repository. Left out are functions
that need minutes, or another program (convert); `FKS_KUBECTL_SUITE=all` runs every function that upstream runs, and
`FKS_KUBECTL_SUITE=run_pod_tests,run_rc_tests` just these.

Some of them race with what they test: they look at what a controller makes without waiting for it, and pass because the client is slower than the
controller. So those in RACING run with kubectl_paced.sh before fks; any other that fails has a second try with it, on a cluster of its own.
"""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import urllib.request
import warnings
from pathlib import Path

import pytest

import cluster as control

HERE = Path(__file__).resolve().parent
SUITE = (control.assets() or Path("/nowhere")) / "kubectl-suite"
LEGACY = "test/cmd/legacy-script.sh"
LIMIT = 400  # seconds for one function

CHOSEN = """
run_kubectl_version_tests run_kubectl_results_tests run_kubectl_config_set_tests run_kubectl_config_set_cluster_tests
run_kubectl_config_set_credentials_tests run_kubectl_local_proxy_tests run_RESTMapper_evaluation_tests run_clusterroles_tests run_role_tests
run_assert_short_name_tests run_assert_singular_name_tests run_ambiguous_shortname_tests run_explain_crd_with_additional_properties_tests
run_assert_categories_tests run_pod_tests run_save_config_tests run_kubectl_create_error_tests run_kubectl_server_side_apply_tests
run_kubectl_run_tests run_kubectl_create_filter_tests run_kubectl_diff_same_names run_kubectl_get_tests run_kubectl_help_tests
run_kubectl_exec_pod_tests run_kubectl_exec_resource_name_tests run_create_secret_tests run_kubectl_create_kustomization_directory_tests
run_kubectl_create_validate_tests run_kubectl_delete_allnamespaces_tests run_kubectl_delete_interactive_tests run_kubectl_request_timeout_tests
run_recursive_resources_tests run_secrets_test run_configmap_tests run_client_config_tests run_service_accounts_tests run_job_tests
run_create_job_tests run_pod_templates_tests run_service_tests run_daemonset_tests run_daemonset_history_tests run_rc_tests run_rs_tests
run_stateful_set_tests run_statefulset_history_tests run_lists_tests run_persistent_volumes_tests run_persistent_volume_claims_tests
run_storage_class_tests run_exec_credentials_tests run_exec_credentials_interactive_tests run_kubectl_auth_whoami_tests run_inline_auth_can_i_tests
run_inline_auth_reconcile_tests run_authorization_tests run_retrieve_multiple_tests run_resource_aliasing_tests run_kubectl_explain_tests
run_crd_deletion_recreation_tests run_kubectl_sort_by_tests run_deprecated_api_tests run_template_output_tests run_certificates_tests
run_plugins_tests run_impersonation_tests run_kubectl_debug_tests run_kubectl_debug_legacy_tests run_kubectl_debug_baseline_tests
run_kubectl_debug_restricted_tests run_kubectl_debug_netadmin_tests run_kubectl_debug_custom_profile_tests run_kubectl_debug_warning_tests
run_kubectl_debug_node_tests run_kubectl_debug_legacy_node_tests run_kubectl_debug_baseline_node_tests run_kubectl_debug_restricted_node_tests
run_kubectl_debug_netadmin_node_tests run_kuberc_tests run_kubectl_scale_tests run_deployment_tests run_nodes_tests
""".split()

# what fails when the controller manager is stopped for half a second again and again, with kubectl as with fks, and where
RACING = {
    "run_deployment_tests": "the replica set and the pods of a new deployment are described at once",
    "run_rs_tests": "the pods of a new replica set are described at once",
    "run_stateful_set_tests": "the controller has seen a restart at once",
    "run_exec_credentials_tests": "a certificate is used as soon as its request is approved: <no value> passes for one that is there",
}

# what upstream's main function holds itself: between these two lines
INLINE = {"run_inline_auth_can_i_tests": ("  # kubectl auth can-i", "  # kubectl auth reconcile"),
          "run_inline_auth_reconcile_tests": ("  # kubectl auth reconcile", "  # Retrieve multiple #")}


def upstream():
    """The functions in upstream's order."""
    text = (SUITE / LEGACY).read_text()
    return [*dict.fromkeys(re.findall(r"record_command (run_\w+)", text[text.index("\nrunTests()"):])), *INLINE]


def stops_at_failures(function):
    if function in INLINE:
        return True
    for script in (SUITE / "test/cmd").glob("*.sh"):
        body = re.search(rf"^(?:function )?{function}\(\) *\{{(.*?)^\}}", script.read_text(), re.MULTILINE | re.DOTALL)
        if body:
            return re.search(r"^\s*set -o errexit", body[1], re.MULTILINE) is not None
    return False


def functions():
    wanted = os.environ.get("FKS_KUBECTL_SUITE")
    if wanted == "all":
        return upstream() if SUITE.exists() else []
    return wanted.split(",") if wanted else CHOSEN


class Suite:
    """A work folder with the tests, and a cluster as upstream's starter makes it."""

    def __init__(self, folder, programs, fks):
        self.folder, self.programs = folder, programs
        self.source = folder / "source"
        self.processes = control.Processes(folder)
        shutil.copytree(SUITE, self.source)
        self.fks = fks
        for name, program in (("quick", fks), ("paced", HERE / "kubectl_paced.sh")):
            (self.source / name).mkdir()
            (self.source / name / "kubectl").symlink_to(program)
        (folder / "tmp").mkdir()
        self.cut_script()
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def cut_script(self):
        """Upstream's main script: its definitions stay, what it runs when it is read goes; what its main function says in between is kept apart."""
        path = self.source / LEGACY
        text = path.read_text()
        main = text[text.index("\nrunTests()"):]
        fields = main[main.index("  export id_field="):]
        (self.source / "fields.sh").write_text(fields[:fields.index("\n", fields.index("  export image_field1=")) + 1])
        inline = ""
        for name, (begin, end) in INLINE.items():
            body = main[main.index(f"\n{begin}\n"):main.index(f"\n{end}")]
            inline += f"{name}() {{\n  set -o nounset; set -o errexit\n{body}\n  set +o nounset; set +o errexit\n}}\n"
        (self.source / "inline.sh").write_text(inline)
        canary = text.index("function record_command_canary()")
        path.write_text(text[:canary] + text[text.index("\nfi\n", canary) + 4:])
        # the one function that fetches manifests from the net reads them from their folder
        for script in (self.source / "test/cmd").glob("*.sh"):
            script.write_text(script.read_text().replace("https://raw.githubusercontent.com/kubernetes/kubernetes/master/", ""))

    def request(self, path, body=None):
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", None if body is None else json.dumps(body).encode(),
                                         {"Authorization": "Bearer admin-token", "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.context) as answer:
                return answer.read()
        except OSError:
            return None

    def start(self):
        etcd, data, self.port = control.free_port(), self.source / "hack/testdata", control.free_port()
        self.processes.start("etcd", [
            self.programs / "etcd", "--data-dir", self.folder / "etcd", "--unsafe-no-fsync", "--log-level=error",
            f"--listen-client-urls=http://127.0.0.1:{etcd}", f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            "--listen-peer-urls=http://127.0.0.1:0"])
        key = self.folder / "sa.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        self.processes.start("apiserver", [
            self.programs / "kube-apiserver", "--bind-address=127.0.0.1", f"--secure-port={self.port}", f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            "--authorization-mode=RBAC,AlwaysAllow", "--enable-admission-plugins=LimitRanger,ResourceQuota",
            "--disable-admission-plugins=ServiceAccount,DefaultStorageClass,DefaultTolerationSeconds,MutatingAdmissionWebhook,"
            "ValidatingAdmissionWebhook,StorageObjectInUseProtection",
            "--runtime-config=api/v1", f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc", f"--cert-dir={self.folder}/tmp", "--service-cluster-ip-range=10.0.0.0/24",
            f"--client-ca-file={data}/ca/ca.crt", f"--token-auth-file={data}/auth-tokens.csv"])
        control.until(lambda: self.request("/readyz"), 60, lambda: "API server: " + self.processes.log("apiserver")[-2000:])
        config = self.folder / "manager.kubeconfig"
        config.write_text(self.kubeconfig("default"))
        self.processes.start("manager", [
            self.programs / "kube-controller-manager", f"--kubeconfig={config}", "--leader-elect=false", f"--secure-port={control.free_port()}",
            f"--cert-dir={self.folder}/manager", f"--cluster-signing-cert-file={data}/ca/ca.crt", f"--cluster-signing-key-file={data}/ca/ca.key"])
        control.until(lambda: self.request("/api/v1/namespaces/default/serviceaccounts/default"), 60, "the default service account")
        control.until(lambda: self.request("/api/v1/namespaces/default/services/kubernetes"), 60, "the service kubernetes")
        # the only node that the tests expect
        self.request("/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "status": {"capacity": {"memory": "1Gi"}},
                                       "metadata": {"name": "127.0.0.1", "annotations": {"save-managers": "true"}}})

    def restart(self):
        """A cluster in which no test has left anything."""
        self.processes.stop_all()
        shutil.rmtree(self.folder / "etcd")
        self.start()

    def has_conditions(self):
        """The node's, which the controller manager sets when nobody has spoken for the node for a minute."""
        node = json.loads(self.request("/api/v1/nodes/127.0.0.1") or "{}")
        return node.get("status", {}).get("conditions")

    def kubeconfig(self, namespace):
        return json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "local", "cluster": {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}}],
            "users": [{"name": "test-admin", "user": {"token": "admin-token"}}],
            "contexts": [{"name": "test", "context": {"cluster": "local", "user": "test-admin", "namespace": namespace}}]})

    def run(self, function, paced):
        """What went wrong, or nothing; and everything that was printed. The function's own session ends with it."""
        if function == "run_nodes_tests":
            control.until(self.has_conditions, 180, "the node's conditions", pause=0.5)
        code, said = self.call(function, "paced" if paced else "quick")
        # where errexit is off a failed assertion is followed by success; elsewhere it may be a question that is asked again
        failed = [line for line in said.splitlines() if "FAIL!" in line] if not stops_at_failures(function) else []
        wrong = f"exit code {code}; {failed}" if code != 0 or failed else ""
        return wrong, "\n".join(said.splitlines()[-60:])

    def call(self, function, kubectl):
        """Exit code and output."""
        namespace = f"start-{os.urandom(4).hex()}"
        self.request("/api/v1/namespaces", {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": namespace}})
        home = self.folder / "home" / namespace
        (home / ".kube").mkdir(parents=True)
        (home / ".kube/config").write_text(self.kubeconfig(namespace))
        (home / ".kube/config").chmod(0o600)
        environment = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "KUBERC", "LC_ALL")}
        environment.update(HOME=str(home), TMPDIR=str(self.folder / "tmp"), SECURE_API_PORT=str(self.port), LANG="C",
                           THIS_PLATFORM_BIN=str(self.source / kubectl), FKS_PACED=str(self.fks))
        child = subprocess.Popen(["bash", HERE / "kubectl_suite.sh", function], cwd=self.source, env=environment, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
        try:
            said = child.communicate(timeout=LIMIT)[0]
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            return None, child.communicate()[0]
        try:
            os.killpg(child.pid, signal.SIGKILL)  # what it left running
        except ProcessLookupError:
            pass
        return child.returncode, said


@pytest.fixture(scope="module")
def suite(binary, folder):
    if not SUITE.exists():
        pytest.skip(f"{SUITE} is not there: make assets")
    suite = Suite(Path(tempfile.mkdtemp(prefix="kubectl-suite-", dir=folder)), control.assets(), binary("fks"))
    try:
        suite.start()
        yield suite
    finally:
        suite.processes.stop_all()
        if not os.environ.get("FKS_KEEP"):
            shutil.rmtree(suite.folder, ignore_errors=True)


@pytest.mark.parametrize("function", functions())
def test_function(suite, function):
    wrong, said = suite.run(function, paced=function in RACING)
    if wrong:
        warnings.warn(f"{function}: {wrong}\n{said}\nagain, paced, on a new cluster")
        suite.restart()
        wrong, said = suite.run(function, paced=True)
    assert not wrong, f"{wrong}\n{said}"
