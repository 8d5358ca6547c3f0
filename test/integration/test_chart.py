"""The Helm chart in manifests/: what it refuses, what it renders, and whether a real API server and Pod Security take that."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from cluster import MANIFESTS, ROOT, ApiError

RESTRICTED = "chart-restricted"
# settings that render something else than the default ones do
VARIANTS = {
    "default": {},
    "given-certificate": {"certificates": {"mode": "given", "secretName": "mine"}, "webhook": {"clientCA": {"name": "api-servers"}}},
    "cert-manager": {"certificates": {"mode": "cert-manager"}},
    "cert-manager-issuer": {"certificates": {"mode": "cert-manager", "issuerRef": {"name": "company", "kind": "ClusterIssuer"},
                                             "duration": "720h", "renewBefore": "240h"}},
    "monitoring": {"metrics": {"serviceMonitor": {"enabled": True, "labels": {"team": "a"}}, "dashboard": {"enabled": True}}},
    "no-policies": {"networkPolicy": {"enabled": False}},
    "eks": {"names": {"scheduler": "fks-scheduler", "profileLabel": "fargate.fks.dev/fargate-profile", "nodeNamePrefix": "fks-ip-"}},
    "keep-types": {"crds": {"keep": True}},
    "profiles": {"profiles": [{"name": "dev", "spec": {"selectors": [{"namespace": "dev-*", "labels": {"a": "b"}}]}},
                              {"name": "ci", "spec": {"selectors": [{"namespace": "ci"}], "runtimeClassName": "kata"}}]},
    "hosts": {"agent": {"enabled": True}, "namespace": {"create": True}},
    "hosts-everything": {"logLevel": "debug", "agent": {
        "enabled": True, "nodeSelector": {"pool": "serverless"}, "tolerations": [{"operator": "Exists"}], "impersonateNodes": False,
        "capacity": {"cpu": "4", "memory": "8Gi", "pods": 20}, "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
        "zone": "z", "region": "r", "clusterDNS": ["10.0.0.10"], "clusterDomain": "corp", "sandboxImage": "a/pause:1",
        "cni": {"configDirectory": "/etc/net", "binDirectory": "/opt/bin"}, "imageGC": {"high": 90, "low": 50}, "stateDirectory": "/data/fks",
        "maxParallelImagePulls": 2, "containerLogs": {"maxSize": "1Mi", "maxFiles": 3}, "csiTimeoutSeconds": 60,
        "runDirectory": "/run/mine", "cgroupRoot": "a/b", "metricsPort": 9999, "priorityClassName": "", "updateStrategy": {"type": "OnDelete"},
        "podLabels": {"team": "a"}, "podAnnotations": {"note": "b"}}},
    "everything": {
        "image": {"registry": "registry.example:5000/team", "tag": "7", "pullPolicy": "Always", "pullSecrets": [{"name": "key"}]},
        "logLevel": "debug", "priorityClassName": "", "listenAddress": "::", "networkPolicy": {"apiServerPorts": [7443]},
        "webhook": {"replicas": 3, "failurePolicy": "Ignore", "timeoutSeconds": 3, "namespacesLeftAlone": ["monitoring"],
                    "podValidation": "Enforce", "clientCA": {"kind": "Secret", "name": "api-servers"}, "workers": 4, "shutdownDelay": "5s", "podDisruptionBudget": {"minAvailable": "50%"},
                    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
                    "podLabels": {"team": "a"}, "podAnnotations": {"note": "b"}, "nodeSelector": {"pool": "system"},
                    "tolerations": [{"key": "system", "operator": "Exists"}],
                    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "pool", "operator": "Exists"}]}]}}}},
        "scheduler": {"replicas": 1, "placement": "pack", "podLabels": {"team": "a"}, "podAnnotations": {"note": "b"},
                      "nodeSelector": {"pool": "system"}, "tolerations": [{"operator": "Exists"}]}},
}
# (settings, what the refusal names)
REFUSED = [
    ({"webhok": {}}, "webhok"),
    ({"webhook": {"replicas": 0}}, "/webhook/replicas"),
    ({"webhook": {"replicas": "2"}}, "/webhook/replicas"),
    ({"webhook": {"failurePolicy": "Open"}}, "/webhook/failurePolicy"),
    ({"webhook": {"timeoutSeconds": 31}}, "/webhook/timeoutSeconds"),
    ({"webhook": {"shutdownDelay": "ten"}}, "/webhook/shutdownDelay"),
    ({"webhook": {"clientCA": {"kind": "File", "name": "a"}}}, "/webhook/clientCA/kind"),
    ({"webhook": {"podDisruptionBudget": {"minAvailable": "half"}}}, "/webhook/podDisruptionBudget"),
    ({"webhook": {"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}}, "/webhook/podDisruptionBudget"),
    ({"networkPolicy": {"apiServerPorts": []}}, "/networkPolicy/apiServerPorts"),
    ({"listenAddress": "[::]"}, "/listenAddress"),
    ({"nameOverride": "mine"}, "nameOverride"),
    ({"scheduler": {"placement": "anywhere"}}, "/scheduler/placement"),
    ({"scheduler": {"resources": {"requests": {"cpu": "much"}}}}, "/scheduler/resources/requests/cpu"),
    ({"certificates": {"mode": "none"}}, "/certificates/mode"),
    ({"certificates": {"duration": "90d"}}, "/certificates/duration"),
    ({"image": {"registry": "fks.dev/"}}, "/image/registry"),
    ({"profiles": [{"name": "eks-a", "spec": {"selectors": [{"namespace": "a"}]}}]}, "/profiles/0/name"),
    ({"profiles": [{"name": "a", "spec": {"selectors": []}}]}, "/profiles/0/spec/selectors"),
    ({"profiles": [{"name": "a", "spec": {"selectors": [{"labels": {}}]}}]}, "/profiles/0/spec/selectors/0"),
    ({"logLevel": "loud"}, "/logLevel"),
    ({"agent": {"capacity": {"cpu": "much", "memory": "1Gi", "pods": 1}}}, "/agent/capacity/cpu"),
    ({"agent": {"stateDirectory": "/var"}}, "/agent/stateDirectory"),
    ({"agent": {"runDirectory": "/run/../etc"}}, "/agent/runDirectory"),
    ({"agent": {"nodeSelector": {"fks.dev/host": True}}}, "/agent/nodeSelector"),
    ({"agent": {"containerLogs": {"maxSize": "0"}}}, "/agent/containerLogs/maxSize"),
    ({"agent": {"containerLogs": {"maxFiles": 1}}}, "/agent/containerLogs/maxFiles"),
    ({"agent": {"updateStrategy": {"type": "Recreate"}}}, "/agent/updateStrategy/type"),
    ({"names": {"scheduler": ""}}, "/names/scheduler"),
    ({"names": {"profileLabel": "fargate-profile"}}, "/names/profileLabel"),
    ({"names": {"profileLabel": "fks.dev/profile"}}, "/names/profileLabel"),
    ({"names": {"nodeNamePrefix": "fks-"}}, "/names/nodeNamePrefix"),
]


def helm_of(plane):
    """Another version than that of `make test` where FKS_HELM says so (`make test-helm3`)."""
    return Path(os.environ.get("FKS_HELM", plane.programs / "helm"))


@pytest.fixture(scope="module")
def helm(plane, tmp_path_factory):
    program = helm_of(plane)
    if not program.exists():
        pytest.skip("no Helm: run 'make helm'")
    home = tmp_path_factory.mktemp("helm")

    def run(*words, settings=None, ok=True, namespace="fks-system"):
        path = home / "values.json"
        path.write_text(json.dumps(settings or {}))
        result = subprocess.run([program, *map(str, words), f"--values={path}", f"--namespace={namespace}"], capture_output=True, text=True,
                                env={"HOME": str(home), "PATH": "/usr/bin:/bin"}, cwd=ROOT)
        assert (result.returncode == 0) == ok, result.stdout + result.stderr
        return result.stdout if ok else result.stdout + result.stderr

    return run


@pytest.fixture(scope="module")
def render(plane, helm, tmp_path_factory):
    """Objects of the chart with settings, hooks and tests included; kinds of others are made known to the API server first."""
    for group, kinds in (("cert-manager.io", ("Issuer", "Certificate")), ("monitoring.coreos.com", ("ServiceMonitor", "PodMonitor"))):
        for kind in kinds:
            plural = kind.lower() + "s"
            schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            plane.admin.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"},
                "spec": {"group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural}, "versions": [
                    {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]}})
            plane.kubectl("wait", "--for=condition=Established", f"crd/{plural}.{group}", "--timeout=30s")
    folder = tmp_path_factory.mktemp("rendered")

    def objects(variant):
        path = folder / f"{variant}.yaml"
        if not path.exists():
            path.write_text(helm("template", "fks", MANIFESTS, settings=VARIANTS[variant]))
        return path, plane.manifest(path)

    yield objects
    for name in ("issuers.cert-manager.io", "certificates.cert-manager.io", "servicemonitors.monitoring.coreos.com",
                 "podmonitors.monitoring.coreos.com"):
        plane.admin.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")


def named(objects, kind, name):
    return next(item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name)


def pods_of(objects):
    """(name, pod template) of everything that makes pods."""
    for item in objects:
        if item["kind"] == "Pod":
            yield item["metadata"]["name"], item
        elif item["kind"] in ("Deployment", "Job", "DaemonSet"):
            yield item["metadata"]["name"], item["spec"]["template"]


def test_lint(helm):
    helm("lint", "--strict", MANIFESTS)
    for settings in VARIANTS.values():
        helm("lint", "--strict", MANIFESTS, settings=settings)


def test_versions_are_the_programs_version():
    version = re.search(r"^VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.M).group(1)
    chart = (MANIFESTS / "Chart.yaml").read_text()
    assert f'\nappVersion: "{version}"\n' in chart and f"\nversion: {version}\n" in chart


@pytest.mark.parametrize("settings,where", REFUSED, ids=[where for _, where in REFUSED])
def test_the_schema_refuses(helm, settings, where):
    assert where in helm("template", "fks", MANIFESTS, settings=settings, ok=False)


def test_another_namespace_is_refused(helm):
    assert "add --namespace fks-system" in helm("template", "fks", MANIFESTS, ok=False, namespace="default")


@pytest.mark.parametrize("made,preset", [("install", []), ("install-eks", ["eks"]), ("install-hosts", ["hosts"])])
def test_install_yaml_is_what_the_chart_renders(plane, made, preset):
    rendered = subprocess.run([ROOT / "scripts/render-manifests", helm_of(plane), *preset], capture_output=True, text=True,
                              check=True).stdout
    # Helm 3 puts no empty line between objects
    kept, rendered = ([line for line in text.splitlines() if line] for text in ((MANIFESTS / f"{made}.yaml").read_text(), rendered))
    assert kept == rendered, "run 'make manifests'"


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_api_server_takes_it(plane, render, variant):
    _, objects = render(variant)
    for item in objects:
        if item["kind"] == "Pod":  # its service account is made only now, which a dry run does not do
            item["spec"]["serviceAccountName"] = "default"
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    plane.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)


@pytest.mark.parametrize("variant", ["default", "profiles", "everything"])
def test_every_pod_is_restricted(plane, render, variant):
    if plane.admin.find(f"/api/v1/namespaces/{RESTRICTED}") is None:
        plane.admin.post("/api/v1/namespaces", {"metadata": {"name": RESTRICTED, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest"}}})
        plane.kubectl("wait", "--for=create", "serviceaccount/default", "-n", RESTRICTED, "--timeout=30s")
    seen = set()
    for name, template in pods_of(render(variant)[1]):
        spec = {**template["spec"], "serviceAccountName": "default", "priorityClassName": ""}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"restartPolicy": "Never", **spec}}
        pod["spec"]["restartPolicy"] = "Never"
        path = f"/api/v1/namespaces/{RESTRICTED}/pods?dryRun=All"
        plane.admin.post(path, pod)
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            assert container["resources"]["requests"]["cpu"] and container["resources"]["limits"]["memory"], name
        with pytest.raises(ApiError, match="violates PodSecurity"):  # the check itself works
            plane.admin.post(path, {**pod, "spec": {**pod["spec"], "securityContext": {}}})
        seen.add(name)
    assert seen >= {"fks-webhook", "fks-scheduler", "fks-uninstall", "fks-test"}
    assert ("fks-profiles" in seen) == (variant == "profiles")


def test_the_agent_has_the_privileges_that_are_listed(plane, render):
    """What manifests/README.md says of it, and no more; without it, there is nothing of it."""
    _, objects = render("hosts")
    spec = named(objects, "DaemonSet", "fks-node")["spec"]["template"]["spec"]
    assert spec["hostNetwork"] and spec["hostPID"] and "hostIPC" not in spec and spec["nodeSelector"] == {"fks.dev/host": "true"}
    assert {volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume} == {
        "/", "/sys/fs/cgroup", "/var/lib/fks-node", "/run/fks-node"}
    for container in spec["containers"]:
        assert container["securityContext"] == {"privileged": True, "readOnlyRootFilesystem": True}
    # only the runtime sees all of the host
    agent = next(item for item in spec["containers"] if item["name"] == "fks-node")
    assert {mount["name"] for mount in agent["volumeMounts"]} == {"state", "run", "cgroups"}
    # what it promises it has asked for
    assert agent["resources"]["requests"] == {"cpu": "1", "memory": "2Gi"}
    assert {"--capacity-cpu=1", "--capacity-memory=2Gi"} <= set(agent["args"])
    assert named(objects, "Namespace", "fks-system")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert "fks-node" not in json.dumps([item for item in render("default")[1] if item["kind"] != "ConfigMap"])


def test_settings_reach_the_agent(render, binary):
    _, objects = render("hosts-everything")
    spec = named(objects, "DaemonSet", "fks-node")["spec"]["template"]["spec"]
    for container, words in (("containerd", ["runtime"]), ("fks-node", [])):
        item = next(item for item in spec["containers"] if item["name"] == container)
        known = set(re.findall(r"--[a-z-]+", subprocess.run([binary("fks-node"), *words, "--help"], capture_output=True, text=True, check=True).stdout))
        assert item["args"][:len(words)] == words
        assert {word.split("=")[0] for word in item["args"][len(words):]} <= known
        assert "--log-level=debug" in item["args"] and "--cgroup-root=a/b" in item["args"]
    agent = set(spec["containers"][1]["args"])
    assert {"--zone=z", "--region=r", "--cluster-dns=10.0.0.10", "--cluster-domain=corp", "--impersonate-nodes=false", "--capacity-pods=20",
            "--state-dir=/data/fks/agent", "--metrics-listen=127.0.0.1:9999", "--max-parallel-image-pulls=2", "--container-log-max-size=1Mi",
            "--container-log-max-files=3", "--csi-timeout=60"} <= agent
    config = named(objects, "ConfigMap", "fks-node-runtime")["data"]["containerd.toml"]
    for line in ('root = "/data/fks/containerd"', 'address = "/run/mine/containerd.sock"', 'sandbox_image = "a/pause:1"', 'bin_dir = "/opt/bin"',
                 'conf_dir = "/etc/net"'):
        assert f"{line}\n" in config
    assert named(objects, "ClusterRole", "fks-node-direct")  # without impersonation


def test_roles_are_those_of_local_clusters(plane, render):
    _, objects = render("hosts")
    for program in ("people", "scheduler", "webhook", "node"):
        for item in plane.manifest(f"rbac/{program}.yaml"):
            namespace = item["metadata"].get("namespace")
            other = named([one for one in objects if one["metadata"].get("namespace") == namespace], item["kind"], item["metadata"]["name"])
            if item["kind"].endswith("Binding"):
                assert other["roleRef"] == item["roleRef"]
                assert other["subjects"] == [{"kind": "ServiceAccount", "name": f"fks-{program}", "namespace": "fks-system"}]
            else:
                assert other["rules"] == item["rules"]
    assert "system:fks" not in json.dumps([item for item in objects if "Binding" in item["kind"]])


def test_registrations_are_those_of_local_clusters(plane, render, tmp_path):
    def registrations(variant):
        config = named(render(variant)[1], "ConfigMap", "fks-webhook-registration")["data"]
        path = tmp_path / f"{variant}.yaml"
        path.write_text(config["registrations.yaml"])
        return plane.manifest(path)

    for ours, local in zip(registrations("default"), plane.manifest("webhook/webhook.yaml"), strict=True):
        for mine, theirs in zip(ours["webhooks"], local["webhooks"], strict=True):
            path = theirs["clientConfig"]["url"].rpartition("/")[2]
            assert mine.pop("clientConfig") == {"service": {"namespace": "fks-system", "name": "fks-webhook", "path": f"/{path}", "port": 443}}
            del theirs["clientConfig"]
        assert ours == local
    mutating = registrations("everything")[0]["webhooks"]
    assert [item["failurePolicy"] for item in mutating] == ["Ignore"] * 3 and {item["timeoutSeconds"] for item in mutating} == {3}
    assert mutating[0]["namespaceSelector"]["matchExpressions"][0]["values"] == ["fks-system", "kube-system", "monitoring"]
    # one that is left alone is so by each of the entries
    for item in mutating[1:]:
        assert {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["monitoring"]} in item["namespaceSelector"]["matchExpressions"]


def test_no_name_of_aws_is_left_with_the_preset(render, helm):
    """But for what says that a Node is serverless, and what opts out: these are common to both."""
    _, objects = render("eks")
    assert helm("template", "fks", MANIFESTS, "-f", MANIFESTS / "values-eks.yaml") == helm("template", "fks", MANIFESTS, settings=VARIANTS["eks"])
    text = json.dumps(objects)
    assert "fargate-scheduler'" not in text and "fargate-ip-" not in text and "eks.amazonaws.com/fargate-profile" not in text
    for name in ("fks-webhook", "fks-scheduler"):
        arguments = named(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]["args"]
        assert {"--scheduler-name=fks-scheduler", "--profile-label=fargate.fks.dev/fargate-profile"} <= set(arguments)


def test_settings_reach_the_programs(render, binary):
    _, objects = render("everything")
    for name in ("fks-webhook", "fks-scheduler"):
        template = named(objects, "Deployment", name)["spec"]["template"]
        container = template["spec"]["containers"][0]
        assert container["image"] == f"registry.example:5000/team/{name}:7" and container["imagePullPolicy"] == "Always"
        # every option is one that the program knows
        known = set(re.findall(r"--[a-z-]+", subprocess.run([binary(name), "--help"], capture_output=True, text=True, check=True).stdout))
        assert {word.split("=")[0] for word in container["args"]} <= known
        assert "--log-level=debug" in container["args"]
        assert template["spec"]["nodeSelector"] == {"pool": "system"} and template["metadata"]["labels"]["team"] == "a"
    webhook = named(objects, "Deployment", "fks-webhook")
    assert webhook["spec"]["replicas"] == 3 and {"--pod-validation=Enforce", "--workers=4", "--shutdown-delay=5s"} <= set(
        webhook["spec"]["template"]["spec"]["containers"][0]["args"])


def test_a_single_replica_can_be_drained_and_two_are_apart(render):
    for variant, budget in (("default", {"maxUnavailable": 1}), ("everything", {"minAvailable": "50%"})):
        spec = named(render(variant)[1], "PodDisruptionBudget", "fks-webhook")["spec"]
        assert spec == {"selector": {"matchLabels": {"app.kubernetes.io/name": "fks-webhook"}}, "unhealthyPodEvictionPolicy": "AlwaysAllow", **budget}
    assert "minAvailable" not in named(render("everything")[1], "PodDisruptionBudget", "fks-scheduler")["spec"]  # which has one replica there
    terms = named(render("default")[1], "Deployment", "fks-scheduler")["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
    assert [item["podAffinityTerm"]["topologyKey"] for item in terms.pop("preferredDuringSchedulingIgnoredDuringExecution")] == [
        "kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert not terms  # nothing that a cluster of one node could not give


def test_every_pod_may_reach_the_api_server(render):
    """Where a network policy denies the rest; the programs and the hooks alike, whatever port it has."""
    for variant, ports in (("profiles", [443, 6443, 8443, 16443]), ("everything", [7443])):
        _, objects = render(variant)
        policies = [item["spec"] for item in objects if item["kind"] == "NetworkPolicy"]
        for name, template in pods_of(objects):
            name = template["metadata"]["labels"]["app.kubernetes.io/name"]
            matching = [item for item in policies if item["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name") == name or
                        any(name in one["values"] for one in item["podSelector"].get("matchExpressions", []))]
            assert len(matching) == 1, name
            assert [item["port"] for item in matching[0]["egress"][0]["ports"]] == ports
            served = [item["containerPort"] for item in template["spec"]["containers"][0].get("ports", [])]
            assert [port["port"] for item in matching[0].get("ingress", []) for port in item["ports"]] == served, name
    arguments = named(render("everything")[1], "Deployment", "fks-webhook")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--listen=[::]:8443" in arguments


# objects of the schema that are Kubernetes' to check, with names of their own
OPEN = re.compile(r"^(global|profiles/spec|\w+/(affinity|tolerations|topologySpreadConstraints|updateStrategy/rollingUpdate)|"
                  r".*([Ll]abels|podAnnotations|nodeSelector|requests|limits))$")


def test_the_schema_leaves_nothing_open():
    """And has an entry for each setting that there is, so that what is misspelt is refused wherever it stands."""
    def walk(schema, path):
        if schema.get("type") == "object" and schema.get("additionalProperties", True) is not False:
            assert OPEN.match(path), path
        for key, value in schema.get("properties", {}).items():
            walk(value, f"{path}/{key}".lstrip("/"))
        if "items" in schema:
            walk(schema["items"], path)

    walk(json.loads((MANIFESTS / "values.schema.json").read_text()), "")


def test_the_webhook_knows_the_api_servers_by_the_authorities_named(render):
    for variant, source in (("given-certificate", {"configMap": {"name": "api-servers"}}), ("everything", {"secret": {"secretName": "api-servers"}}),
                            ("default", None)):
        spec = named(render(variant)[1], "Deployment", "fks-webhook")["spec"]["template"]["spec"]
        container = spec["containers"][0]
        mounts = {item["name"]: item["mountPath"] for item in container["volumeMounts"]}
        volume = next((item for item in spec["volumes"] if item["name"] == "client-ca"), None)
        for kind, reference in (source or {}).items():
            assert volume == {"name": "client-ca", kind: {**reference, "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
        assert ("--client-ca=/etc/fks/client-ca/ca.crt" in container["args"]) == (mounts.get("client-ca") == "/etc/fks/client-ca") == (
            volume is not None) == bool(source)


def test_certificates_of_others_are_served_once_they_are_trusted(render):
    """A Certificate says the name that API servers ask for; what cert-manager or somebody writes waits until fks-scheduler has registered it."""
    for variant, delay in (("default", "0s"), ("cert-manager", "30s"), ("cert-manager-issuer", "30s"), ("given-certificate", "30s")):
        _, objects = render(variant)
        container = named(objects, "Deployment", "fks-webhook")["spec"]["template"]["spec"]["containers"][0]
        assert f"--certificate-delay={delay}" in container["args"]
        assert {item["kind"] for item in objects if item["apiVersion"] == "cert-manager.io/v1"} == {
            "cert-manager": {"Issuer", "Certificate"}, "cert-manager-issuer": {"Certificate"}}.get(variant, set())
    spec = named(render("cert-manager")[1], "Certificate", "fks-webhook")["spec"]
    assert spec["dnsNames"][0] == "fks-webhook.fks-system.svc" and spec["issuerRef"]["name"] == "fks-webhook"
    assert named(render("cert-manager")[1], "Issuer", "fks-webhook")["spec"] == {"selfSigned": {}}
    spec = named(render("cert-manager-issuer")[1], "Certificate", "fks-webhook")["spec"]
    assert (spec["duration"], spec["renewBefore"], spec["issuerRef"]["kind"]) == ("720h", "240h", "ClusterIssuer")
    # nobody but fks-scheduler says what API servers trust: an upgrade puts nothing over it
    assert "caBundle" not in json.dumps(objects)


# options that are no settings of the chart, and why
NOT_SETTINGS = {
    ("fks-webhook",): {"kubeconfig",  # in the cluster, each has its service account
                       "profiles"},  # those of the API server
    ("fks-scheduler",): {"kubeconfig", "leader-identity"},  # the pod's name
    ("fks-node",): {"kubeconfig", "client-ca", "tls-cert", "tls-key",  # as README.md says under "Certificates and identity"
                    "pod-cidr", "resolv-conf",  # those of the Node
                    "csi-plugins-registry"},  # below the state folder, which is what of the host is mounted
    ("fks-node", "runtime"): {"host-root"},  # where the chart mounts it
}


def test_every_option_of_the_programs_can_be_set(render, binary):
    for command, others in NOT_SETTINGS.items():
        text = subprocess.run([binary(command[0]), *command[1:], "--help"], capture_output=True, text=True, check=True).stdout
        known = set(re.findall(r"^ +(?:-[a-z], )?--([a-z-]+)=", text, re.M)) - {"help", "version"}
        set_by_chart = set()
        for variant in ("everything", "hosts-everything"):
            for _, template in pods_of(render(variant)[1]):
                for container in template["spec"]["containers"]:
                    arguments = container.get("args", [])
                    runtime = arguments[:1] == ["runtime"]
                    if container["image"].rpartition("/")[2].startswith(f"{command[0]}:") and runtime == (command[1:] == ("runtime",)):
                        set_by_chart |= {re.match(r"--([a-z-]+)", word)[1] for word in arguments[runtime:]}
        assert known - set_by_chart == others and len(known) > 5, command
