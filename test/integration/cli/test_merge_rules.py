"""cmd/fks/merge/merge_rules.c against the API server's own OpenAPI document: every list of every built-in kind merges, or is replaced, as the
server says, and by the key that it names. Asked of `fks patch --local`."""

import json
import subprocess



# kinds without strategic merge patches, and what is not stored under its own name
OTHER_GROUPS = {"apiextensions.k8s.io", "apiregistration.k8s.io", "fks.dev", "karpenter.sh"}


def resolve(schemas, schema):
    for part in (schema, *schema.get("allOf", [])):
        if "$ref" in part:
            return schemas[part["$ref"].rsplit("/", 1)[-1]]
    return schema


def lists(schemas, schema, path=(), seen=()):
    """(path, merge key or None, merges) of each list; a path's steps are (field, key of the element to go into)."""
    for field, value in schema.get("properties", {}).items():
        if any(field == step for step, _ in path):
            continue
        strategy = value.get("x-kubernetes-patch-strategy", "")
        key = value.get("x-kubernetes-patch-merge-key")
        if value.get("type") == "array":
            items = resolve(schemas, value["items"])
            merges = "merge" in strategy.split(",")
            yield path, field, key, merges, items
            if merges and key and id(items) not in seen:
                yield from lists(schemas, items, (*path, (field, key)), (*seen, id(items)))
        else:
            inner = resolve(schemas, value)
            if "properties" in inner and id(inner) not in seen and strategy != "replace":
                yield from lists(schemas, inner, (*path, (field, None)), (*seen, id(inner)))


def nest(path, leaf):
    for field, key in reversed(path):
        leaf = {field: leaf if key is None else [{**leaf, key: "same"}]}
    return leaf


def documents(plane):
    def get(path):
        run = subprocess.run([plane.programs / "kubectl", "--kubeconfig", plane.kubeconfig("admin"), "get", "--raw", path],
                             capture_output=True, text=True, check=True)
        return json.loads(run.stdout)

    for name, entry in get("/openapi/v3")["paths"].items():
        group = name.partition("/")[2].partition("/")[0]
        # not what other tests define, and may just take away
        if name.startswith("api/") or (name.startswith("apis/") and ("." not in group or group.endswith(".k8s.io"))):
            yield get(entry["serverRelativeURL"])["components"]["schemas"]


def cases(plane):
    for schemas in documents(plane):
        for schema in schemas.values():
            kinds = schema.get("x-kubernetes-group-version-kind", [])
            if len(kinds) != 1 or kinds[0]["group"] in OTHER_GROUPS or "metadata" not in schema.get("properties", {}):
                continue
            if not kinds[0]["kind"].endswith("List"):
                yield from ((kinds[0], *case) for case in lists(schemas, schema))


def merged(fks, kind, path, field, elements):
    version = f"{kind['group']}/{kind['version']}".lstrip("/")
    head = {"apiVersion": version, "kind": kind["kind"], "metadata": {"name": "x"}}
    old, new = ({field: [element]} for element in elements)
    base = {**head, **nest(path, old)}
    base["metadata"] = {**head["metadata"], **base["metadata"]}
    run = subprocess.run([fks, "patch", "--local", "-f", "-", "-p", json.dumps(nest(path, new)), "-o", "json",
                          "--show-managed-fields"],
                         input=json.dumps(base), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    value = json.loads(run.stdout)
    for step, key in path:
        value = value[step] if key is None else value[step][0]
    return value[field]


def test_lists_merge_as_the_server_says(plane, binary):
    fks, wrong, asked = binary("fks"), [], set()
    for kind, path, field, key, merges, items in cases(plane):
        place = ".".join(step for step, _ in (*path, (field, None)))
        if (kind["kind"], place) in asked:
            continue
        asked.add((kind["kind"], place))
        keys = [name for name in (key, "name", "type", "port") if name]
        elements = [{name: which for name in keys} for which in ("one", "two")] if "properties" in items else ["one", "two"]
        n_merged = len(merged(fks, kind, path, field, elements))
        if (n_merged == 2) != merges:
            wrong.append(f"{kind['kind']} {place}: the server {'merges' if merges else 'replaces'}")
        if merges and key:
            same = [{**elements[0], key: "same"}, {**elements[1], key: "same"}]
            if len(merged(fks, kind, path, field, same)) != 1:
                wrong.append(f"{kind['kind']} {place}: merges by {key}")
    assert not wrong, "\n".join(wrong)
    assert len(asked) > 500
