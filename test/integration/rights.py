"""What identities may do beside what they did: rules of RBAC compared with the API server's audit log. Pure."""

import json
from collections import namedtuple

# One thing that a rule allows, or that a call did. resource: "pods/status"; name "" where the request has none; namespace "" is all of
# them in a right, none in a call.
Act = namedtuple("Act", "group resource verb name namespace")


def rights_of(rules, namespace=""):
    """Each rule taken apart; without resourceNames a right is for every name, "*"."""
    for rule in rules:
        assert not rule.get("nonResourceURLs"), "not looked at here"
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", ["*"]):
                        yield Act(group, resource, verb, name, namespace)


def covers(right, act):
    return ((right.group, right.resource, right.verb) == (act.group, act.resource, act.verb) and right.name in ("*", act.name)
            and right.namespace in ("", act.namespace))


def acts_of(event):
    """What the one who called needed a right for."""
    reference = event.get("objectRef")
    if not reference or "resource" not in reference:
        return
    resource = "/".join(filter(None, [reference["resource"], reference.get("subresource")]))
    verb, name = event["verb"], reference.get("name", "")
    where = reference.get("apiGroup", ""), resource
    namespace = reference.get("namespace", "")
    node = event.get("impersonatedUser", {}).get("username", "")
    if node.startswith("system:node:"):
        yield Act("authentication.k8s.io", "nodes", "impersonate:arbitrary-node", node.removeprefix("system:node:"), "")
        yield Act(*where, f"impersonate-on:arbitrary-node:{verb}", name, namespace)
        return
    yield Act(*where, verb, name, namespace)
    # what a patch (server-side apply) or an update made new, it was asked for the right to create as well
    if verb in ("patch", "update") and event.get("responseStatus", {}).get("code") == 201:
        yield Act(*where, "create", name, namespace)


def is_denied(event):
    """Not of one who acts as another: then it was the other who may not. (The Node authorizer learns of a pod's Node later than the agent,
    which asks again.) Who may not act as another is denied under the own name."""
    return event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid" and "impersonatedUser" not in event


def is_of(subject, user):
    if subject["kind"] == "ServiceAccount":
        return user["username"] == f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
    return subject["name"] == user["username"] if subject["kind"] == "User" else subject["name"] in user.get("groups", [])


class Holder:
    """A binding: who has the rights of which role."""

    def __init__(self, binding, role):
        self.name = f"{role['kind']}/{role['metadata']['name']}"
        self.subjects = binding["subjects"]
        self.rights = list(rights_of(role["rules"], binding["metadata"].get("namespace", "")))


def holders_of(objects):
    """The bindings among some objects, each with its role, which must be among them, too."""
    roles = {(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]): item
             for item in objects if item["kind"] in ("Role", "ClusterRole")}
    for item in objects:
        if item["kind"].endswith("RoleBinding"):
            reference = item["roleRef"]
            namespace = item["metadata"].get("namespace", "") if reference["kind"] == "Role" else ""
            yield Holder(item, roles[(reference["kind"], namespace, reference["name"])])


def text_of(act):
    return " ".join(filter(None, [act.verb, act.resource, "" if act.name == "*" else act.name, act.namespace and f"in {act.namespace}"]))


def compare(objects, events):
    """(rights that nobody used, calls that were denied), as texts. objects: the roles and bindings in force."""
    holders = list(holders_of(objects))
    used, denied = set(), []
    for event in events:
        mine = [holder for holder in holders if any(is_of(subject, event["user"]) for subject in holder.subjects)]
        acts = list(acts_of(event))
        if mine and is_denied(event):
            denied += [f"{event['user']['username']}: {text_of(act)}" for act in acts] or [event["requestURI"]]
            continue
        used |= {(holder.name, right) for holder in mine for right in holder.rights for act in acts if covers(right, act)}
    unused = sorted(f"{holder.name}: {text_of(right)}" for holder in holders for right in holder.rights if (holder.name, right) not in used)
    return sorted(set(unused)), sorted(set(denied))


def read_audit(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def audit_policy(users=(), groups=()):
    """Who asked for what, of some users and groups."""
    rules = [{"level": "Metadata", key: list(names)} for key, names in (("users", users), ("userGroups", groups)) if names]
    return {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [*rules, {"level": "None"}]}
