"""Logs in with SCRAM as RFC 5802 describes it, or with a bearer token, and reads all mail:
login.py imap|pop3 PORT MECHANISM SECRETFILE none MAIL...
login.py imap|pop3 PORT MECHANISM SECRETFILE BINDING CERTIFICATE MAIL...

Each MAIL is a file with a message in canonical form; they are what is in INBOX. With a
BINDING the connection is TLS: tls-unique, of TLS 1.2; tls-server-end-point; or "kept from
it", which binds to nothing but says that it would have.

Exit code 3 says that the server refused.
"""

import base64
import hashlib
import hmac
import imaplib
import json
import poplib
import secrets
import ssl
import sys


def equal(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r:.1500}\nwant {want!r:.1500}")


class Scram:
    """The client's side (RFC 5802, section 3). Each step takes the server's message."""

    def __init__(self, mechanism, user, password, header, binding):
        self.hash = mechanism.removeprefix("SCRAM-").removesuffix("-PLUS").lower().replace("-", "")
        self.password = password.encode()
        self.header, self.binding = header, binding
        self.nonce = secrets.token_urlsafe(18)
        self.bare = f"n={user},r={self.nonce}"
        self.steps = [self.first, self.final, self.outcome]

    def step(self, message):
        return self.steps.pop(0)(message.decode()).encode()

    def mac(self, key, message):
        return hmac.digest(key, message.encode(), self.hash)

    def first(self, message):
        equal("what comes first", message, "")
        return self.header + self.bare

    def final(self, message):
        fields = dict(f.split("=", 1) for f in message.split(","))
        equal("fields of the server's first message", "".join(fields), "rsi")
        equal("start of the nonce", fields["r"].startswith(self.nonce) and len(fields["r"]) > len(self.nonce), True)
        iterations = int(fields["i"])
        equal("4096 iterations or more", iterations >= 4096, True)
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, base64.b64decode(fields["s"]), iterations)
        key = self.mac(salted, "Client Key")
        bound = base64.b64encode(self.header.encode() + self.binding).decode()
        without = f"c={bound},r={fields['r']}"
        said = ",".join([self.bare, message, without])
        signature = self.mac(hashlib.new(self.hash, key).digest(), said)
        proof = bytes(a ^ b for a, b in zip(key, signature))
        self.verifier = self.mac(self.mac(salted, "Server Key"), said)
        return f"{without},p={base64.b64encode(proof).decode()}"

    def outcome(self, message):
        equal("the server's signature", message, "v=" + base64.b64encode(self.verifier).decode())
        return ""


class Bearer:
    """The client's side of OAUTHBEARER (RFC 7628, section 3) and of XOAUTH2."""

    def __init__(self, mechanism, user, token):
        header = {"OAUTHBEARER": f"n,a={user},", "XOAUTH2": f"user={user}"}[mechanism]
        self.said = f"{header}\x01auth=Bearer {token}\x01\x01"
        self.steps = [self.first]

    def step(self, message):
        if self.steps:
            return self.steps.pop()(message)
        # RFC 7628, section 3.2.2: why it failed, which is answered with nothing (3.2.3).
        equal("the server's error", json.loads(message)["status"], "invalid_token")
        return b"\x01"

    def first(self, message):
        equal("what comes first", message, b"")
        return self.said.encode()


def bind(how, sock, certificate):
    """The GS2 header and what the channel is bound to (RFC 5929, sections 3 and 4)."""
    match how:
        case "none":
            return "n,,", b""
        case "kept from it":
            return "y,,", b""
        case "tls-unique":
            return f"p={how},,", sock.get_channel_binding(how)
        case "tls-server-end-point":
            with open(certificate) as f:
                own = ssl.PEM_cert_to_DER_cert(f.read())
            equal("certificate", sock.getpeercert(binary_form=True), own)
            return f"p={how},,", hashlib.sha256(own).digest()


def refused(e):
    print("refused:", e)
    sys.exit(3)


def imap(connection, mechanism, start):
    equal(f"AUTH={mechanism} is offered", f"AUTH={mechanism}" in connection.capabilities, True)
    try:
        connection.authenticate(mechanism, start().step)
    except connection.error as e:
        equal(f"the code in {e}", "[AUTHENTICATIONFAILED]" in str(e) or "[EXPIRED]" in str(e), True)
        refused(e)
    equal("select", connection.select(readonly=True)[0], "OK")
    found = connection.fetch("1:*", "(BODY.PEEK[])")[1]
    return [part[1] for part in found if isinstance(part, tuple)]


def pop3(connection, mechanism, start):
    equal("mechanisms", mechanism in connection.capa()["SASL"], True)
    exchange = start()
    connection._putcmd(f"AUTH {mechanism}")
    while True:
        line, _ = connection._getline()
        if line.startswith(b"-ERR [AUTH]"):
            refused(line)
        if line.startswith(b"+OK"):
            break
        equal("a challenge", line[:2], b"+ ")
        connection._putline(base64.b64encode(exchange.step(base64.b64decode(line[2:]))))
    equal("steps that are left", exchange.steps, [])
    mails = []
    for i in range(connection.stat()[0]):
        mails.append(b"".join(line + b"\r\n" for line in connection.retr(i + 1)[1]))
    equal("quit", connection.quit()[:3], b"+OK")
    return mails


def main(protocol, port, mechanism, secret, how, *files):
    context = certificate = None
    if how != "none":
        certificate, *files = files
        context = ssl.create_default_context(cafile=certificate)
        if how == "tls-unique":  # TLS 1.3 has none
            context.maximum_version = ssl.TLSVersion.TLSv1_2
    read = {"imap": imap, "pop3": pop3}[protocol]
    kind = {"imap": (imaplib.IMAP4, imaplib.IMAP4_SSL), "pop3": (poplib.POP3, poplib.POP3_SSL)}[protocol]
    if context is None:
        connection = kind[0]("127.0.0.1", int(port), timeout=20)
    else:
        word = {"imap": "ssl_context", "pop3": "context"}[protocol]
        connection = kind[1]("127.0.0.1", int(port), timeout=20, **{word: context})
    with open(secret) as f:
        secret = f.read()
    if mechanism.startswith("SCRAM-"):
        header, binding = bind(how, connection.sock, certificate)
        got = read(connection, mechanism, lambda: Scram(mechanism, "demo", secret, header, binding))
    else:
        got = read(connection, mechanism, lambda: Bearer(mechanism, "demo", secret))
    want = []
    for name in files:
        with open(name, "rb") as f:
            want.append(f.read())
    equal("mail", got, want)
    print("round complete")


main(*sys.argv[1:])
