"""A container runtime that runs nothing: the CRI services of lib/cri/cri.proto over a unix socket, by Debian's python3-grpcio.

It keeps what a runtime keeps (sandboxes, containers, images), remembers how often each container was started, and can be told
to fail or to be slow at any method:

    runtime.fail("CreateContainer", 2)         the next two calls are refused
    runtime.delay("StopContainer", 3.0, 1)     the next call takes three seconds and then succeeds
    runtime.exit(container_id, code)           a container ends by itself
"""

import concurrent.futures
import importlib.util
import itertools
import subprocess
import threading
import time

import grpc

from cluster import ROOT

READY, NOT_READY = 0, 1
CREATED, RUNNING, EXITED = 0, 1, 2

# method: (request, answer); the names on the wire are those of runtime.v1
RUNTIME = {
    "Version": ("VersionRequest", "VersionResponse"),
    "Status": ("StatusRequest", "StatusResponse"),
    "RunPodSandbox": ("RunPodSandboxRequest", "RunPodSandboxResponse"),
    "StopPodSandbox": ("PodSandboxIdRequest", "EmptyResponse"),
    "RemovePodSandbox": ("PodSandboxIdRequest", "EmptyResponse"),
    "PodSandboxStatus": ("PodSandboxStatusRequest", "PodSandboxStatusResponse"),
    "ListPodSandbox": ("ListPodSandboxRequest", "ListPodSandboxResponse"),
    "CreateContainer": ("CreateContainerRequest", "CreateContainerResponse"),
    "StartContainer": ("ContainerIdRequest", "EmptyResponse"),
    "StopContainer": ("StopContainerRequest", "EmptyResponse"),
    "RemoveContainer": ("ContainerIdRequest", "EmptyResponse"),
    "ListContainers": ("ListContainersRequest", "ListContainersResponse"),
    "ContainerStatus": ("ContainerIdRequest", "ContainerStatusResponse"),
    "UpdateContainerResources": ("UpdateContainerResourcesRequest", "EmptyResponse"),
    "ReopenContainerLog": ("ContainerIdRequest", "EmptyResponse"),
    "ListContainerStats": ("ListContainerStatsRequest", "ListContainerStatsResponse"),
    "ExecSync": ("ExecSyncRequest", "ExecSyncResponse"),
}
IMAGES = {
    "ListImages": ("ListImagesRequest", "ListImagesResponse"),
    "ImageStatus": ("ImageRequest", "ImageStatusResponse"),
    "PullImage": ("PullImageRequest", "PullImageResponse"),
    "RemoveImage": ("ImageRequest", "EmptyResponse"),
}


def load_messages(folder):
    """The protocol's classes, made by protoc from the file that the agent is built from."""
    subprocess.run(["protoc", f"--proto_path={ROOT / 'lib/cri'}", f"--python_out={folder}", "cri.proto"], check=True)
    spec = importlib.util.spec_from_file_location("cri_pb2", folder / "cri_pb2.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class Runtime:
    def __init__(self, folder, images=("example.com/none:1",)):
        self.messages = load_messages(folder)
        self.socket = folder / "runtime.sock"
        self.lock = threading.RLock()
        self.numbers = itertools.count(1)
        self.sandboxes, self.containers = {}, {}
        self.configs = {}  # pod uid → configuration of its latest sandbox
        self.images = {name: f"sha256:{number:064x}" for number, name in enumerate(images, 1)}
        self.starts = {}   # (pod uid, container) → how often it was started
        self.killed = {}   # (pod uid, container) → how often it was stopped while it ran
        self.calls = {}    # method → calls
        self.under_way, self.most = {}, {}  # method → how many are being served now, and were at most
        self.failures, self.delays = {}, {}
        self.lists = {}    # method → the answer's bytes, until something changes
        self.names = set() # of sandboxes and containers, also of those that are being made
        self.starting = set()  # ids of containers
        self.gives_up = False  # a start that nobody waits for any more ends what it has begun, as containerd's
        self.server = None

    def start(self):
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0)])
        for service, methods in (("runtime.v1.RuntimeService", RUNTIME), ("runtime.v1.ImageService", IMAGES)):
            self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
                service, {name: self.handler(name, *types) for name, types in methods.items()}),))
        self.server.add_insecure_port(f"unix:{self.socket}")
        self.server.start()

    def stop(self):
        if self.server is not None:
            self.server.stop(0).wait()
            self.server = None

    def fail(self, method, times, code=grpc.StatusCode.INTERNAL):
        with self.lock:
            self.failures[method] = [times, code]

    def delay(self, method, seconds, times):
        with self.lock:
            self.delays[method] = [times, seconds]

    def exit(self, container_id, code=0, reason="Completed"):
        with self.lock:
            self.end(self.containers[container_id], code, reason)

    def handler(self, name, request, answer):
        serve = getattr(self, name)
        answer_type = getattr(self.messages, answer)

        def on_call(message, context):
            with self.lock:
                self.calls[name] = self.calls.get(name, 0) + 1
                failure, delay = self.failures.get(name), self.delays.get(name)
                refused = failure is not None and failure[0] > 0
                if refused:
                    failure[0] -= 1
                slow = delay is not None and delay[0] > 0
                if slow:
                    delay[0] -= 1
            if refused:
                time.sleep(delay[1] if slow else 0)
                context.abort(failure[1], f"{name}: the test wants a failure")
            with self.lock:
                self.under_way[name] = self.under_way.get(name, 0) + 1
                self.most[name] = max(self.most.get(name, 0), self.under_way[name])
            taken = None
            try:
                taken = self.reserve(name, message)
                if slow:  # and then it is done, whether or not somebody still waits for the answer
                    time.sleep(delay[1])
                    if name == "StartContainer" and self.gives_up and not context.is_active():
                        self.give_up(message.container_id)
                with self.lock:
                    if name in ("ListPodSandbox", "ListContainers"):
                        if name not in self.lists:
                            self.lists[name] = serve(answer_type, message).SerializeToString()
                        return self.lists[name]
                    return serve(answer_type, message).SerializeToString()
            except Refused as error:
                with self.lock:
                    self.names.discard(taken)
                context.abort(error.code, str(error))
            finally:
                with self.lock:
                    self.under_way[name] -= 1
                    self.starting.discard(taken)

        return grpc.unary_unary_rpc_method_handler(
            on_call, request_deserializer=getattr(self.messages, request).FromString,
            response_serializer=lambda text: text)

    # --- names, which no two may have, as in containerd

    @staticmethod
    def name_of(metadata, sandbox):
        return (sandbox, metadata.name, metadata.attempt)

    def reserve(self, method, request):
        if method == "RunPodSandbox":
            name = self.name_of(request.config.metadata, request.config.metadata.uid)
        elif method == "StartContainer":
            with self.lock:
                if request.container_id in self.starting:
                    raise Refused(grpc.StatusCode.UNKNOWN, f'failed to set starting state for container "{request.container_id}": '
                                  "container is already in starting state")
                self.starting.add(request.container_id)
            return request.container_id
        elif method == "CreateContainer":
            name = self.name_of(request.config.metadata, request.pod_sandbox_id)
        else:
            return None
        with self.lock:
            if name in self.names:
                raise Refused(grpc.StatusCode.UNKNOWN, f"failed to reserve name {name}: it is reserved")
            self.names.add(name)
        return name

    # --- the runtime itself

    def Version(self, answer, request):
        return answer(runtime_name="containerd", runtime_version="1.7.0")

    def Status(self, answer, request):
        reply = answer()
        for kind in ("RuntimeReady", "NetworkReady"):
            reply.status.conditions.add(type=kind, status=True)
        for name in ("", "runc"):
            handler = reply.runtime_handlers.add(name=name)
            handler.features.user_namespaces = handler.features.recursive_read_only_mounts = True
        reply.features.supplemental_groups_policy = True
        return reply

    # --- sandboxes

    def sandbox(self, key):
        if key not in self.sandboxes:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"sandbox {key} not found")
        return self.sandboxes[key]

    def changed(self):
        self.lists.clear()

    def RunPodSandbox(self, answer, request):
        number = next(self.numbers)
        key = f"sandbox{number:08d}"
        item = self.messages.PodSandboxStatus(id=key, state=READY, created_at=time.time_ns())
        item.metadata.CopyFrom(request.config.metadata)
        for name in request.config.labels:
            item.labels[name] = request.config.labels[name]
        for name in request.config.annotations:
            item.annotations[name] = request.config.annotations[name]
        self.configs[request.config.metadata.uid] = request.config
        item.network.ip = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.sandboxes[key] = item
        self.changed()
        return answer(pod_sandbox_id=key)

    def StopPodSandbox(self, answer, request):
        item = self.sandboxes.get(request.pod_sandbox_id)
        if item is not None:
            item.state = NOT_READY
            for container in self.containers.values():
                if container["sandbox"] == item.id and container["status"].state == RUNNING:
                    self.end(container, 137, "Error")
            self.changed()
        return answer()

    def RemovePodSandbox(self, answer, request):
        sandbox = self.sandboxes.pop(request.pod_sandbox_id, None)
        if sandbox is not None:
            self.names.discard(self.name_of(sandbox.metadata, sandbox.metadata.uid))
        for key in [key for key, item in self.containers.items() if item["sandbox"] == request.pod_sandbox_id]:
            self.drop(key)
        self.changed()
        return answer()

    def PodSandboxStatus(self, answer, request):
        return answer(status=self.sandbox(request.pod_sandbox_id))

    def ListPodSandbox(self, answer, request):
        reply = answer()
        for item in self.sandboxes.values():
            row = reply.items.add(id=item.id, state=item.state, created_at=item.created_at)
            row.metadata.CopyFrom(item.metadata)
            for name in item.labels:
                row.labels[name] = item.labels[name]
            for name in item.annotations:
                row.annotations[name] = item.annotations[name]
        return reply

    # --- containers

    def container(self, key):
        if key not in self.containers:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"container {key} not found")
        return self.containers[key]

    def key_of(self, container):
        return container["uid"], container["status"].metadata.name

    def drop(self, key):
        container = self.containers.pop(key, None)
        if container is not None:
            self.names.discard(self.name_of(container["status"].metadata, container["sandbox"]))

    def end(self, container, code, reason):
        status = container["status"]
        status.state, status.exit_code, status.reason = EXITED, code, reason
        status.finished_at = time.time_ns()
        self.changed()

    def CreateContainer(self, answer, request):
        sandbox = self.sandbox(request.pod_sandbox_id)
        if sandbox.state != READY:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, f"sandbox {sandbox.id} is not running")
        key = f"container{next(self.numbers):08d}"
        status = self.messages.ContainerStatus(id=key, state=CREATED, created_at=time.time_ns(),
                                               image_ref=request.config.image.image,
                                               log_path=request.sandbox_config.log_directory + "/" + request.config.log_path)
        status.metadata.CopyFrom(request.config.metadata)
        status.image.CopyFrom(request.config.image)
        for name in request.config.labels:
            status.labels[name] = request.config.labels[name]
        for name in request.config.annotations:
            status.annotations[name] = request.config.annotations[name]
        self.containers[key] = {"sandbox": sandbox.id, "uid": sandbox.metadata.uid, "status": status, "config": request.config}
        self.changed()
        return answer(container_id=key)

    def give_up(self, key):
        with self.lock:
            container = self.container(key)
            self.starts[self.key_of(container)] = self.starts.get(self.key_of(container), 0) + 1
            self.end(container, 128, "StartError")
        raise Refused(grpc.StatusCode.UNKNOWN, "failed to start containerd task: context canceled")

    def StartContainer(self, answer, request):
        container = self.container(request.container_id)
        if container["status"].state != CREATED:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, f"container {request.container_id} was started before")
        if list(container["config"].command) == ["/no/such/program"]:  # as containerd: an end without a beginning
            self.end(container, 128, "StartError")
            raise Refused(grpc.StatusCode.UNKNOWN, "failed to create containerd task: no such file or directory")
        container["status"].state = RUNNING
        container["status"].started_at = time.time_ns()
        self.starts[self.key_of(container)] = self.starts.get(self.key_of(container), 0) + 1
        self.changed()
        return answer()

    def StopContainer(self, answer, request):
        container = self.containers.get(request.container_id)
        if container is not None and container["status"].state == RUNNING:
            self.killed[self.key_of(container)] = self.killed.get(self.key_of(container), 0) + 1
            self.end(container, 143, "Error")
        return answer()

    def RemoveContainer(self, answer, request):
        self.drop(request.container_id)
        self.changed()
        return answer()

    def ListContainers(self, answer, request):
        reply = answer()
        for item in self.containers.values():
            status = item["status"]
            row = reply.containers.add(id=status.id, pod_sandbox_id=item["sandbox"], image_ref=status.image_ref,
                                       state=status.state, created_at=status.created_at)
            row.metadata.CopyFrom(status.metadata)
            row.image.CopyFrom(status.image)
            for name in status.labels:
                row.labels[name] = status.labels[name]
            for name in status.annotations:
                row.annotations[name] = status.annotations[name]
        return reply

    def ContainerStatus(self, answer, request):
        return answer(status=self.container(request.container_id)["status"])

    def UpdateContainerResources(self, answer, request):
        self.container(request.container_id)
        return answer()

    def ReopenContainerLog(self, answer, request):
        self.container(request.container_id)
        return answer()

    def ListContainerStats(self, answer, request):
        return answer()

    def ExecSync(self, answer, request):
        self.container(request.container_id)
        return answer(exit_code=0)

    # --- images

    def ListImages(self, answer, request):
        reply = answer()
        for name, key in self.images.items():
            reply.images.add(id=key, repo_tags=[name], size=1 << 20)
        return reply

    def ImageStatus(self, answer, request):
        reply = answer()
        name = request.image.image
        for tag, key in self.images.items():
            if name in (tag, key):
                reply.image.id = key
                reply.image.repo_tags.append(tag)
                reply.image.size = 1 << 20
        return reply

    def PullImage(self, answer, request):
        name = request.image.image
        self.images.setdefault(name, f"sha256:{len(self.images) + 1:064x}")
        return answer(image_ref=self.images[name])

    def RemoveImage(self, answer, request):
        self.images = {name: key for name, key in self.images.items() if request.image.image not in (name, key)}
        return answer()
