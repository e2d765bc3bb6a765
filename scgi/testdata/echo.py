"""An SCGI application made of Python's standard library, or a WSGI one.

Usage: echo.py PATH     serves SCGI on a unix socket
       as module echo   has application() for uwsgi

?do=sum answers with the length and the SHA-256 of the body, do=big with 10 MiB,
do=missing with 404, do=early before it has read the body, do=cut with less than
it announces; anything else with the params, sorted.
"""

import hashlib
import socketserver
import sys

PATTERN = bytes(range(256)) * 4096  # 1 MiB


def answer(params, body):
    """Returns status, headers and the pieces of the body."""
    do = params.get("QUERY_STRING", "").removeprefix("do=")
    if do == "sum":
        data = body.read(int(params["CONTENT_LENGTH"] or 0))
        text = "%d %s" % (len(data), hashlib.sha256(data).hexdigest())
        return "200 OK", [], [text.encode()]
    if do == "big":
        return "200 OK", [("Content-Length", str(10 << 20))], [PATTERN] * 10
    if do == "missing":
        return "404 Not Found", [], [b"missing"]
    if do == "early":
        return "413 Content Too Large", [("Content-Length", "5")], [b"early"]
    if do == "cut":
        return "200 OK", [("Content-Length", "10")], [b"cut"]
    lines = ["%s=%s\n" % p for p in sorted(params.items()) if isinstance(p[1], str)]
    return "200 OK", [], ["".join(lines).encode("latin-1")]


def application(params, start_response):
    status, headers, pieces = answer(params, params["wsgi.input"])
    start_response(status, [("Content-Type", "text/plain")] + headers)
    return pieces


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        size = b""
        while (c := self.rfile.read(1)) != b":":
            if not c:
                return
            size += c
        fields = self.rfile.read(int(size)).split(b"\0")
        if self.rfile.read(1) != b"," or fields[0] != b"CONTENT_LENGTH":
            return
        text = [f.decode("latin-1") for f in fields[:-1]]
        params = dict(zip(text[::2], text[1::2]))
        if params.get("SCGI") != "1" or len(params) != len(text) // 2:
            return
        status, headers, pieces = answer(params, self.rfile)
        self.wfile.write(("Status: %s\r\n" % status).encode())
        for name, value in [("Content-Type", "text/plain")] + headers:
            self.wfile.write(("%s: %s\r\n" % (name, value)).encode())
        self.wfile.write(b"\r\n")
        for piece in pieces:
            self.wfile.write(piece)


class Server(socketserver.ThreadingUnixStreamServer):
    request_queue_size = 64
    daemon_threads = True


if __name__ == "__main__":
    Server(sys.argv[1], Handler).serve_forever()
