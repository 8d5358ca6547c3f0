"""rights.py itself: what it takes for used, unused and denied."""

import pytest

from rights import compare

ACCOUNT = {"kind": "ServiceAccount", "name": "robot", "namespace": "fks-system"}


def role(kind, *rules, subject=ACCOUNT, namespace=None):
    metadata = {"name": "r", **({"namespace": namespace} if namespace else {})}
    return [{"kind": kind, "metadata": metadata, "rules": list(rules)},
            {"kind": kind + "Binding", "metadata": metadata, "roleRef": {"kind": kind, "name": "r"}, "subjects": [subject]}]


def rule(group, resource, *verbs, names=None):
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs), **({"resourceNames": names} if names else {})}


def call(verb, resource, name="", namespace="", group="", user="system:serviceaccount:fks-system:robot", code=200, groups=(), **more):
    resource, _, subresource = resource.partition("/")
    reference = {"resource": resource, "subresource": subresource, "name": name, "namespace": namespace, "apiGroup": group}
    return {"user": {"username": user, "groups": list(groups)}, "verb": verb, "requestURI": "/x", "responseStatus": {"code": code},
            "objectRef": {key: value for key, value in reference.items() if value}, **more}


PODS = role("ClusterRole", rule("", "pods", "get", "patch"))


@pytest.mark.parametrize("objects,events,unused", [
    (PODS, [], ["get pods", "patch pods"]),
    (PODS, [call("get", "pods", "a", "ns")], ["patch pods"]),
    (PODS, [call("get", "pods", "a", "ns"), call("patch", "pods", "a", "ns")], []),
    (PODS, [call("get", "pods/status", "a", "ns"), call("patch", "pods", "a", group="x")], ["get pods", "patch pods"]),
    (PODS, [call("get", "pods", "a", user="somebody")], ["get pods", "patch pods"]),
    # in a namespace, and by name
    (role("Role", rule("", "pods", "get"), namespace="ns"), [call("get", "pods", "a", "other")], ["get pods in ns"]),
    (role("Role", rule("", "pods", "get"), namespace="ns"), [call("get", "pods", "a", "ns")], []),
    (role("ClusterRole", rule("", "pods", "get", names=["a", "b"])), [call("get", "pods", "b")], ["get pods a"]),
    # a patch that made the object, as server-side apply does
    (role("ClusterRole", rule("", "pods", "patch", "create", names=["a"])), [call("patch", "pods", "a", code=201)], []),
    (role("ClusterRole", rule("", "pods", "patch", "create", names=["a"])), [call("patch", "pods", "a")], ["create pods a"]),
    # by user and by group
    (role("ClusterRole", rule("", "pods", "get"), subject={"kind": "User", "name": "u"}), [call("get", "pods", "a", user="u")], []),
    (role("ClusterRole", rule("", "pods", "get"), subject={"kind": "Group", "name": "g"}),
     [call("get", "pods", "a", user="u", groups=["g"])], []),
    # as a Node
    (role("ClusterRole", rule("authentication.k8s.io", "nodes", "impersonate:arbitrary-node"),
          rule("", "secrets", "impersonate-on:arbitrary-node:get", "get")),
     [call("get", "secrets", "s", "ns", impersonatedUser={"username": "system:node:n"})], ["get secrets"]),
    # what is no object needs no right of these
    (PODS, [{"user": {"username": "system:serviceaccount:fks-system:robot"}, "verb": "get", "requestURI": "/version"}],
     ["get pods", "patch pods"]),
])
def test_unused(objects, events, unused):
    assert compare(objects, events) == (sorted(f"{objects[0]['kind']}/r: {text}" for text in unused), [])


def test_denied():
    no = {"annotations": {"authorization.k8s.io/decision": "forbid"}, "code": 403}
    unused, denied = compare(PODS, [call("patch", "pods", "a", "ns", **no), call("get", "pods", "a", "ns", user="somebody", **no)])
    assert denied == ["system:serviceaccount:fks-system:robot: patch pods a in ns"]
    assert unused == ["ClusterRole/r: get pods", "ClusterRole/r: patch pods"]
    # as another, it is the other who may not
    assert compare(PODS, [call("get", "secrets", "s", "ns", impersonatedUser={"username": "system:node:n"}, **no)])[1] == []
