"""What the clients of established.py do: one generator for each kind of connection.

A generator yields what its connection does next, with the bytes of it, up to the next restart.
"""
import random
import struct

UPPERCASE, REVERSE = 0x01 << 27, 0x04 << 27
PORTS = {"frame": 8083, "frame-2021": 8084, "text": 8082, "echo": 7, "echo-prefix": 8085, "ack": 8086, "respond": 8087,
         "upper": 8088, "upper-line": 8089, "length-prefix": 8090, "record": 9999, "discard": 9, "chargen": 19}
PROXY_PORT = 9083
UNREAD_KINDS = "chargen", "unread", "unread, half-closed"
UNREAD_LENGTH = 6 << 20  # more than the 4 MiB that the kernel keeps for a connection at most (net.ipv4.tcp_wmem)
LETTERS = bytes(range(97, 123)) * 400_000
CHARGEN = b"".join(bytes(32 + (line + column) % 95 for column in range(72)) + b"\r\n" for line in range(95))

# What a client does next.
SEND, EXPECT = "send", "expect"  # these bytes
END = "end"  # expects the end of the connection
UNREAD = "unread"  # waits until a reply has begun to arrive; True: half-closes the connection before
RESTART = "restart"  # waits for a restart, and reads nothing meanwhile


def frame(text, action=UPPERCASE):
    return struct.pack(">I", action | len(text)) + text


def reply(text):
    return struct.pack(">I", len(text)) + text


def message(length):
    begin = random.randrange(26)
    return LETTERS[begin:begin + length]


def idle():
    """A connection without a request in progress."""
    while True:
        text = message(20)
        yield SEND, frame(text)
        yield EXPECT, reply(text.upper())
        yield RESTART, None


def cut(make):
    """Requests that are cut at a random byte."""
    def client():
        while True:
            request, expected = make(message(random.randrange(1, 3000)))
            at = random.randrange(1, len(request))
            yield SEND, request[:at]
            yield RESTART, None
            yield SEND, request[at:]
            yield EXPECT, expected
    return client


def unread(length, closes):
    """A long reply that is not read; some clients have half-closed the connection."""
    def client():
        while True:
            text = message(length)
            yield SEND, frame(text, REVERSE)
            yield UNREAD, closes
            yield RESTART, None
            yield EXPECT, reply(text[::-1])
            if closes:
                yield END, None
                return
    return client


def chunks(prefix):
    def client():
        while True:
            yield SEND, b"hello"
            yield EXPECT, prefix + b"hello"
            yield RESTART, None
    return client


def once(first, second, expected):
    """Protocols with one reply, which close then."""
    def client():
        if first:
            yield SEND, first
        yield RESTART, None
        yield SEND, second
        yield EXPECT, expected
        yield END, None
    return client


def respond():
    while True:
        yield SEND, b"caf\xc3"
        yield EXPECT, b"Response: CAF"
        yield RESTART, None
        yield SEND, b"\xa9"
        yield EXPECT, b"Response: \xc3\x89"


def record():
    data = struct.pack(">IHQhhf", 1, 2, 3, -4, 5, 6.5)
    while True:
        yield SEND, b"chunk"
        yield EXPECT, b"chunk"
        at = random.randrange(len(data))
        if at:
            yield SEND, data[:at]
        yield RESTART, None
        yield SEND, data[at:]


def discard():
    while True:
        yield SEND, message(1000)
        yield RESTART, None


def chargen():
    offset = 0
    while True:
        length = random.randrange(1, 1 << 20)
        begin = offset % len(CHARGEN)
        yield EXPECT, (CHARGEN * (length // len(CHARGEN) + 2))[begin:begin + length]
        offset += length
        yield RESTART, None


def proxied():
    """The header is cut, then the request behind it."""
    header = b"PROXY TCP4 192.0.2.%d 192.0.2.1 5000 8083\r\n" % random.randrange(2, 250)
    at = random.randrange(1, len(header))
    text = message(500)
    yield SEND, header[:at]
    yield RESTART, None
    yield SEND, header[at:] + frame(text)[:100]
    yield RESTART, None
    yield SEND, frame(text)[100:]
    yield EXPECT, reply(text.upper())


def kinds(options):
    """(name, port, number, client)"""
    def upper(text):
        return frame(text), reply(text.upper())

    def in_words(text):
        return b"reverse %d %s" % (len(text), text), b"%d %s" % (len(text), text[::-1])

    def prefixed(text):
        return reply(text), reply(text)
    each = options.each
    yield "idle", PORTS["frame"], options.idle, idle
    yield "frame", PORTS["frame"], each, cut(upper)
    yield "frame-2021", PORTS["frame-2021"], each, cut(upper)
    yield "text", PORTS["text"], each, cut(in_words)
    yield "length-prefix", PORTS["length-prefix"], each, cut(prefixed)
    yield "unread", PORTS["frame"], options.unread, unread(UNREAD_LENGTH, False)
    yield "unread, half-closed", PORTS["frame"], options.unread, unread(UNREAD_LENGTH, True)
    yield "large", PORTS["frame"], 2, cut(lambda text: upper(text * 1000))
    yield "echo", PORTS["echo"], each, chunks(b"")
    yield "echo-prefix", PORTS["echo-prefix"], each, chunks(b"Echo: ")
    yield "ack", PORTS["ack"], each, once(b"", b"anything", b"Message received!")
    yield "upper", PORTS["upper"], each, once(b"", b" word\n", b"WORD")
    yield "upper-line", PORTS["upper-line"], each, once(b" half a l", b"ine \r\nmore", b"HALF A LINE")
    yield "respond", PORTS["respond"], each, respond
    yield "record", PORTS["record"], each, record
    yield "discard", PORTS["discard"], each, discard
    yield "chargen", PORTS["chargen"], each, chargen
    yield "proxied", PROXY_PORT, each, proxied
