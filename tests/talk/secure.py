"""Clients that speak through TLS: talk.Client with another socket, and one that can close half of it."""

import select
import socket
import ssl

from talk import DEADLINE, Client


def context(authority=None, version=None, protocols=()):
    """How a client speaks; without an authority it trusts everybody."""
    result = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is None:
        result.check_hostname = False
        result.verify_mode = ssl.CERT_NONE
    else:
        result.load_verify_locations(authority)
    if version is not None:
        result.minimum_version = result.maximum_version = version
    if protocols:
        result.set_alpn_protocols(list(protocols))
    return result


class SecureClient(Client):
    """As Client; an end of the connection without close_notify is an error here."""

    def __init__(self, place, receive_buffer=None, with_context=None, session=None):
        super().__init__(place, receive_buffer)
        self.plain = self.socket
        self.socket = (with_context or context()).wrap_socket(
            self.plain, server_hostname="localhost", suppress_ragged_eofs=False, session=session)
        self.socket.settimeout(DEADLINE)

    def half_close(self):
        raise NotImplementedError("see Halves")


class Halves:
    """A connection whose TLS is made by hand, so that close_notify can be sent and the rest still be read."""

    def __init__(self, place):
        self.socket = socket.create_connection(place, timeout=DEADLINE)
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context().wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self._until(self.tls.do_handshake)

    def close(self):
        self.socket.close()

    def _flush(self):
        self.socket.sendall(self.outgoing.read())

    def _receive(self):
        data = self.socket.recv(1 << 16)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def _until(self, act):
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()
            finally:
                self._flush()

    def say(self, text):
        self.tls.write(text.encode() + b"\n")
        self._flush()

    def say_end(self):
        """close_notify, and nothing more."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self._flush()

    def talk(self, data, end):
        """Sends data and reads beside it, until what was read ends so; returns it. One thread does both."""
        self.tls.write(data)
        unsent, heard = bytearray(self.outgoing.read()), bytearray()
        while unsent or not heard.endswith(end):
            readable, writable, _ = select.select([self.socket], [self.socket] if unsent else [], [], DEADLINE)
            assert readable or writable, f"the server neither reads nor writes: {len(unsent)} bytes left, {len(heard)} heard"
            if writable:
                del unsent[:self.socket.send(unsent[:1 << 16], socket.MSG_DONTWAIT)]
            if readable:
                self._receive()
                heard += self._read_what_is_there()
                unsent += self.outgoing.read()
        return bytes(heard)

    def _read_what_is_there(self):
        data = b""
        try:
            while more := self.tls.read(1 << 16):
                data += more
        except ssl.SSLWantReadError:
            pass
        return data

    def rest(self):
        """All that comes until the server's close_notify."""
        data = b""
        while True:
            try:
                more = self._until(lambda: self.tls.read(1 << 16))
            except ssl.SSLZeroReturnError:
                return data
            if not more:
                return data
            data += more


def join(server, name, **options):
    """As Server.join()."""
    client = connect(server, **options)
    client.say(name)
    client.expect_welcome(name)
    return client


def connect(server, place=None, **options):
    client = SecureClient(place or ("127.0.0.1", server.port), **options)
    server.clients.append(client)
    return client
