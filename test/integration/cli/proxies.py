"""Small proxies for tests: HTTP CONNECT, the same over TLS, and SOCKS5, each with or without a name and password."""

import base64
import contextlib
import select
import socket
import ssl
import threading


def read_exactly(peer, n):
    data = b""
    while len(data) < n:
        more = peer.recv(n - len(data))
        if not more:
            raise OSError("ended")
        data += more
    return data


class Proxy:
    """Listens on loopback; `asked` has the targets that were asked for, as "host:port"."""

    def __init__(self, kind, user=None, certificate=None):
        self.kind, self.user, self.certificate = kind, user, certificate
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self, user=None):
        return f"{self.kind}://{user + '@' if user else ''}127.0.0.1:{self.port}"

    def close(self):
        self.listener.close()

    def accept(self):
        context = None
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, self.certificate))
        while True:
            try:
                peer = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer, context), daemon=True).start()

    def serve(self, peer, context):
        with contextlib.suppress(OSError, ValueError, IndexError), peer:
            if context:
                peer = context.wrap_socket(peer, server_side=True)
            target = self.socks(peer) if self.kind == "socks5" else self.connect(peer)
            if target:
                with target:
                    self.carry(peer, target)

    def dial(self, host, port):
        self.asked.append(f"{host}:{port}")
        return socket.create_connection((host, port))

    def connect(self, peer):
        head = b""
        while b"\r\n\r\n" not in head:
            head += read_exactly(peer, 1)
        lines = head.decode().split("\r\n")
        wanted = f"Proxy-Authorization: Basic {base64.b64encode(self.user.encode()).decode()}" if self.user else None
        if wanted and wanted not in lines:
            peer.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return None
        method, authority, _ = lines[0].split(" ")
        if method != "CONNECT":
            peer.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return None
        host, _, port = authority.rpartition(":")
        target = self.dial(host.strip("[]"), int(port))
        peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return target

    def socks(self, peer):
        count = read_exactly(peer, 2)[1]
        methods = read_exactly(peer, count)
        method = 2 if self.user else 0
        if method not in methods:
            peer.sendall(b"\x05\xff")
            return None
        peer.sendall(bytes([5, method]))
        if self.user:
            name = read_exactly(peer, read_exactly(peer, 2)[1])
            password = read_exactly(peer, read_exactly(peer, 1)[0])
            right = (name + b":" + password).decode() == self.user
            peer.sendall(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return None
        kind = read_exactly(peer, 4)[3]
        if kind == 3:
            host = read_exactly(peer, read_exactly(peer, 1)[0]).decode()
        else:
            host = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, read_exactly(peer, 4 if kind == 1 else 16))
        target = self.dial(host, int.from_bytes(read_exactly(peer, 2), "big"))
        peer.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        return target

    @staticmethod
    def carry(one, other):
        ends = {one: other, other: one}
        while True:
            ready = list(ends) if any(getattr(end, "pending", int)() for end in ends) else select.select(list(ends), [], [])[0]
            for end in ready:
                if isinstance(end, ssl.SSLSocket):
                    end.settimeout(0.05)
                try:
                    data = end.recv(16384)
                except TimeoutError:
                    continue
                if not data:
                    return
                ends[end].sendall(data)
