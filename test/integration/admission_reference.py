"""What admission does, told a second time: slowly, in Python, from the documents (FargateProfile's fields, EKS's user guide, the
Priority plugin of the API server) and not from the C code. test_admission_reference.py compares the two."""

import copy
import re

PROFILE_LABEL = "eks.amazonaws.com/fargate-profile"
COMPUTE_TYPE = "eks.amazonaws.com/compute-type"
SERVERLESS = "fargate-scheduler"


def glob(pattern, text):
    """* is any run of characters, ? exactly one; everything else stands for itself."""
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def selector_matches(selector, namespace, labels):
    return glob(selector["namespace"], namespace) and all(
        any(glob(key, have) and glob(value, labels[have]) for have in labels)
        for key, value in selector.get("labels", {}).items())


def winner(profiles, namespace, pod):
    """The profile that takes the pod, or None."""
    metadata, spec = pod.get("metadata", {}), pod.get("spec", {})
    annotations = metadata.get("annotations") or {}
    labels = metadata.get("labels") or {}
    owners = metadata.get("ownerReferences") or []
    if annotations.get(COMPUTE_TYPE) == "ec2" or "kubernetes.io/config.mirror" in annotations:
        return None
    if any(owner["kind"] == "DaemonSet" and owner["apiVersion"].split("/")[0] == "apps" for owner in owners):
        return None
    if spec.get("nodeName") or spec.get("schedulerName", "") not in ("", "default-scheduler", SERVERLESS):
        return None
    matching = [profile for profile in profiles
                if any(selector_matches(selector, namespace, labels) for selector in profile["spec"]["selectors"])]
    if labels.get(PROFILE_LABEL):
        matching = [profile for profile in matching if profile["metadata"]["name"] == labels[PROFILE_LABEL]]
    matching.sort(key=lambda profile: (-profile["spec"].get("priority", 0), profile["metadata"]["name"]))
    return matching[0] if matching else None


def admitted(profiles, namespace, pod):
    """The pod as it should come out."""
    profile = winner(profiles, namespace, pod)
    result = copy.deepcopy(pod)
    if profile is None:
        return None, result
    wishes, spec = profile["spec"], result.setdefault("spec", {})
    metadata = result.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), PROFILE_LABEL: profile["metadata"]["name"]}
    spec["schedulerName"] = wishes.get("schedulerName", SERVERLESS)
    if "schedulerName" not in wishes:
        spec["priorityClassName"], spec["priority"] = "system-node-critical", 2000001000
        if "preemptionPolicy" in spec:
            spec["preemptionPolicy"] = "PreemptLowerPriority"
    if wishes.get("runtimeClassName") and not spec.get("runtimeClassName"):
        spec["runtimeClassName"] = wishes["runtimeClassName"]
    if wishes.get("nodeSelector"):
        spec["nodeSelector"] = {**wishes["nodeSelector"], **(spec.get("nodeSelector") or {})}
    if wishes.get("tolerations"):
        have = spec.get("tolerations") or []
        spec["tolerations"] = have + [item for item in wishes["tolerations"] if item not in have]
    return profile["metadata"]["name"], result


def apply_patch(document, operations):
    """RFC 6902's add, replace and remove."""
    document = copy.deepcopy(document)
    for operation in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place = document
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if isinstance(place, list):
            index = len(place) if last == "-" else int(last)
            if operation["op"] == "add":
                place.insert(index, operation["value"])
            elif operation["op"] == "replace":
                place[index] = operation["value"]
            else:
                del place[index]
        elif operation["op"] == "remove":
            del place[last]
        else:
            if operation["op"] == "replace" and last not in place:
                raise KeyError(operation["path"])
            place[last] = operation["value"]
    return document
