"""A CSI driver whose volumes are folders of this machine, bound where they are wanted: the node service of csi.v1 and the registration
of a kubelet's plugins, over unix sockets, by Debian's python3-grpcio. Volumes really are mounted, so what leaks shows in /proc/mounts.

    driver.fail("NodePublishVolume", 2)      the next two calls are refused
    driver.hang("NodePublishVolume")         calls get no answer until driver.release()
    driver.calls                             [(method, request), ...] that were served
"""

import concurrent.futures
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import grpc

sys.path.insert(0, os.path.dirname(__file__))

from cluster import LIBC, ROOT  # noqa: E402

NODE = {name: (f"{name}Request", f"{name}Response") for name in (
    "NodeGetInfo", "NodeGetCapabilities", "NodeStageVolume", "NodeUnstageVolume", "NodePublishVolume", "NodeUnpublishVolume")}
REGISTRATION = {"GetInfo": ("InfoRequest", "PluginInfo"), "NotifyRegistrationStatus": ("RegistrationStatus", "RegistrationStatusResponse")}
STAGE, MOUNT_GROUP = 1, 6
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096


def load_messages(folder, name):
    """The protocol's classes, made by protoc from the file that the agent is built from."""
    subprocess.run(["protoc", f"--proto_path={ROOT / 'lib/csi'}", f"--python_out={folder}", f"{name}.proto"], check=True)
    spec = importlib.util.spec_from_file_location(f"{name}_pb2", Path(folder) / f"{name}_pb2.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_mounted(path):
    return any(line.split()[1] == str(path) for line in Path("/proc/mounts").read_text().splitlines())


def bind(source, target, readonly=False):
    for flags in [MS_BIND] + ([MS_BIND | MS_REMOUNT | MS_RDONLY] if readonly else []):
        if LIBC.mount(str(source).encode(), str(target).encode(), None, flags, None) != 0:
            raise OSError(f"mounting {source} on {target} failed")


def pairs(items):
    return {item.key: item.value for item in items}


class Driver:
    def __init__(self, folder, registry, name="folders.test", stages=True, mount_group=False):
        self.folder, self.registry, self.name = Path(folder), Path(registry), name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.messages = {kind: load_messages(self.folder, kind) for kind in ("csi", "registration")}
        self.capabilities = [STAGE] * stages + [MOUNT_GROUP] * mount_group
        self.lock, self.released = threading.Lock(), threading.Event()
        self.calls, self.failures, self.hanging = [], {}, set()
        self.accept = lambda request: True  # of NodeStageVolume
        self.registered = None  # what the agent said of the registration
        self.servers = []

    @property
    def socket(self):
        return self.folder / "csi.sock"

    @property
    def registrar(self):
        return self.registry / f"{self.name}-reg.sock"

    def start(self):
        for path, service, methods, kind in ((self.socket, "csi.v1.Node", NODE, "csi"),
                                             (self.registrar, "pluginregistration.Registration", REGISTRATION, "registration")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
                service, {name: self.handler(self.messages[kind], name, *types) for name, types in methods.items()}),))
            server.add_insecure_port(f"unix:{path}")
            server.start()
            self.servers.append(server)
        return self

    def stop(self):
        self.release()
        for server in self.servers:
            server.stop(0).wait()
        self.servers = []
        self.registrar.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)

    def fail(self, method, times, code=grpc.StatusCode.INTERNAL):
        with self.lock:
            self.failures[method] = [times, code]

    def hang(self, method):
        with self.lock:
            self.released.clear()
            self.hanging.add(method)

    def release(self):
        with self.lock:
            self.hanging.clear()
        self.released.set()

    def names(self):
        with self.lock:
            return [method for method, request in self.calls if method.endswith("Volume")]

    def requests(self, method):
        with self.lock:
            return [request for name, request in self.calls if name == method]

    def handler(self, messages, name, request, answer):
        serve = getattr(self, name)
        answer_type = getattr(messages, answer)

        def on_call(message, context):
            with self.lock:
                failure, hangs = self.failures.get(name, [0, None]), name in self.hanging
                failure[0] -= 1
            if hangs:
                self.released.wait()
                context.abort(grpc.StatusCode.ABORTED, "it was given up")
            if name == "NodeStageVolume" and not self.accept(message):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "the secret is another")
            if failure[0] >= 0:
                context.abort(failure[1], f"{name}: the test wants a failure")
            with self.lock:
                self.calls.append((name, message))
                return serve(answer_type, message)

        return grpc.unary_unary_rpc_method_handler(on_call, request_deserializer=getattr(messages, request).FromString,
                                                   response_serializer=answer_type.SerializeToString)

    # --- registration

    def GetInfo(self, answer, request):
        return answer(type="CSIPlugin", name=self.name, endpoint=str(self.socket), supported_versions=["1.0.0"])

    def NotifyRegistrationStatus(self, answer, request):
        self.registered = request.plugin_registered
        return answer()

    # --- the node; every call may come again

    def data(self, volume):
        return self.folder / "data" / hashlib.sha256(volume.encode()).hexdigest()[:16]

    def NodeGetInfo(self, answer, request):
        return answer(node_id="this-machine")

    def NodeGetCapabilities(self, answer, request):
        reply = answer()
        for kind in self.capabilities:
            reply.capabilities.add().rpc.type = kind
        return reply

    def NodeStageVolume(self, answer, request):
        self.data(request.volume_id).mkdir(parents=True, exist_ok=True)
        if not is_mounted(request.staging_target_path):
            bind(self.data(request.volume_id), request.staging_target_path)
        return answer()

    def NodeUnstageVolume(self, answer, request):
        if is_mounted(request.staging_target_path):
            LIBC.umount2(request.staging_target_path.encode(), 0)
        return answer()

    def NodePublishVolume(self, answer, request):
        source = Path(request.staging_target_path or self.data(request.volume_id))
        source.mkdir(parents=True, exist_ok=True)
        Path(request.target_path).mkdir(exist_ok=True)
        if not is_mounted(request.target_path):
            bind(source, request.target_path, request.readonly)
        return answer()

    def NodeUnpublishVolume(self, answer, request):
        target = Path(request.target_path)
        if is_mounted(target):
            LIBC.umount2(str(target).encode(), 0)
        if target.exists():
            target.rmdir()
        if request.volume_id.startswith("csi-"):  # written in a pod: it goes with it
            shutil.rmtree(self.data(request.volume_id), ignore_errors=True)
        return answer()


if __name__ == "__main__":  # FOLDER REGISTRY NAME: until it is terminated
    Driver(*sys.argv[1:]).start().servers[0].wait_for_termination()
