"""The harbour: a read-only REST API for seat {{ STDID }}, standard library only."""
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

# one port per seat, as all seats share the machine; the loopback address keeps the network out
ADDRESS = '127.0.0.1', {{ 20000 + STDID|int }}

BOATS = [
    dict(id=number, name=name, home=home, length_m=length, built=built)
    for number, (name, home, length, built) in enumerate([
        ('Avocet', 'Tarn', 7.9, 1988),
        ('Bright Morning', 'Ost', 12.4, 1971),
        ('Curlew', 'Tarn', 6.2, 2004),
        ('Dunlin', 'Skerry', 9.1, 1996),
        ('Evening Post', 'Ost', 14.8, 1963),
        ('Fulmar', 'Skerry', 10.5, 2011),
        ('Grey Seal', 'Tarn', 11.7, 1990),
        ('Halcyon', 'Lunde', 8.4, 1979),
        ('Isabel', 'Ost', 9.9, 2001),
        ('Jackdaw', 'Lunde', 5.6, 2015),
        ('Kittiwake', 'Skerry', 16.3, 1984),
        ('Lapwing', 'Tarn', 7.2, 1999),
    ], start=1)
]


class BadRequest(Exception):
    """The client's mistake; the text is for the client."""


def visits(boat):
    # an invented but fixed number of days, so that everybody finds the same answer
    days = 1 + boat['built'] * boat['id'] % 11
    return [f'2026-05-{1 + (boat["id"] + 3 * n) % 31:02}' for n in range(days)]


def number(params, name, default, least):
    text = params.get(name, str(default))
    if not text.isdecimal() or int(text) < least:
        raise BadRequest(f'{name} must be a number from {least} on, not {text!r}')
    return int(text)


def listing(params):
    limit = number(params, 'limit', 5, 1)
    offset = number(params, 'offset', 0, 0)
    found = [b for b in BOATS if params.get('home', b['home']) == b['home']]
    following = None
    if offset + limit < len(found):
        following = '/boats?' + urlencode(dict(params, limit=limit, offset=offset + limit))
    return {'total': len(found), 'items': found[offset:offset + limit], 'next': following}


def answer(path, params):
    """The data for a path, or None where there is nothing."""
    parts = [part for part in path.split('/') if part]
    if not parts:
        return {'service': 'harbour', 'seat': {{ STDID }}, 'links': ['/boats', '/boats/1', '/boats/1/visits']}
    if parts == ['boats']:
        return listing(params)
    boat = next((b for b in BOATS if parts[:2] == ['boats', str(b['id'])]), None)
    if boat and len(parts) == 2:
        return boat
    if boat and parts[2:] == ['visits']:
        return {'total': len(visits(boat)), 'items': sorted(visits(boat))}
    return None


class Harbour(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        params = {name: values[-1] for name, values in parse_qs(url.query).items()}
        try:
            data = answer(url.path, params)
        except BadRequest as mistake:
            return self.send(400, {'error': str(mistake)})
        if data is None:
            return self.send(404, {'error': f'there is nothing at {url.path}'})
        return self.send(200, data)

    def do_POST(self):
        self.send(405, {'error': 'the harbour is read-only'}, Allow='GET')

    do_PUT = do_PATCH = do_DELETE = do_POST

    def send(self, status, data, **headers):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == '__main__':
    try:
        ThreadingHTTPServer(ADDRESS, Harbour).serve_forever()
    except KeyboardInterrupt:
        pass
