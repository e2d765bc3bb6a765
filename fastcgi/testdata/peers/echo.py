# As echo.c, for a server of WSGI.
import os
import signal
import time


def fnv(stream):
    h, size = 0xcbf29ce484222325, 0
    while piece := stream.read(65536):
        for b in piece:
            h = (h ^ b) * 0x100000001b3 & 0xffffffffffffffff
        size += len(piece)
    return b'%d %016x' % (size, h)


def slow():
    yield b'begun\n'
    for _ in range(200):  # a write that fails ends it
        time.sleep(0.01)
        yield b'.'


def ends():
    yield b'begun\n'
    os.kill(os.getpid(), signal.SIGKILL)


def params(environ):
    for name, value in environ.items():
        if isinstance(value, str):  # bytes, each a character: PEP 3333
            yield f'{name}={value}\n'.encode('latin-1')


def application(environ, start_response):
    do = environ['QUERY_STRING'].partition('&')[0].removeprefix('do=')
    status, head, body = '200 OK', [('Content-Type', 'text/plain')], [b'']
    if do == 'hello':
        body = [b'hello']
    elif do == 'sum':
        body = [fnv(environ['wsgi.input'])]
    elif do == 'big':
        body = [b'0123456789abcdef' * 655360]
    elif do == 'missing':
        status, body = '404 Not Found', [b'missing']
    elif do == 'moved':
        status, head = '302 Found', [('Location', 'http://example.org/there')]
    elif do == 'note':
        print('a note to the log', file=environ['wsgi.errors'])
        body = [b'noted']
    elif do == 'head':
        head.append(('X-Large', 'x' * 30000))
        head += [(f'X-{i}', str(i)) for i in range(1, 100)]
        body = [b'head']
    elif do == 'exit':
        body = ends()
    elif do == 'slow':
        body = slow()
    else:
        body = params(environ)
    start_response(status, head)
    return body
