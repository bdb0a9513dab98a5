"""A round through poplib: poplib_round.py stls|tls PORT CERTIFICATE MAIL...

Each MAIL is a file with a message in canonical form. They are what the maildrop
holds at the beginning, in this order. At the end the second and the last are
gone.
"""

import poplib
import re
import ssl
import sys


def equal(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r:.1500}\nwant {want!r:.1500}")


def connect(security, port, context):
    if security == "tls":
        p = poplib.POP3_SSL("127.0.0.1", port, context=context, timeout=20)
    else:
        p = poplib.POP3("127.0.0.1", port, timeout=20)
        equal("STLS in CAPA", "STLS" in p.capa(), True)
        equal("stls", p.stls(context)[:3], b"+OK")
    return p


def login(security, port, context):
    p = connect(security, port, context)
    equal("user", p.user("demo")[:3], b"+OK")
    equal("pass", p.pass_("demo")[:3], b"+OK")
    return p


def refused(what, call):
    """What the server says when it refuses."""
    try:
        answer = call()
    except poplib.error_proto as e:
        equal(what, e.args[0][:4], b"-ERR")
        return e.args[0]
    sys.exit(f"{what}: {answer!r:.500}")


def message(answer):
    """The octets of a message: poplib takes off the line ends and the dots."""
    return b"".join(line + b"\r\n" for line in answer[1])


def ids(p, count):
    """The unique ids of all messages, which have these numbers."""
    lines = [line.split(b" ", 1) for line in p.uidl()[1]]
    equal("numbers in UIDL", [int(number) for number, _ in lines], list(range(1, count + 1)))
    return [identifier for _, identifier in lines]


def round_trip(connect, login, mails):
    p = connect()
    capabilities = p.capa()
    for c in ("TOP", "UIDL", "USER", "SASL", "PIPELINING", "RESP-CODES"):
        equal(f"{c} in {capabilities}", c in capabilities, True)
    p.user("demo")
    refused("a wrong password", lambda: p.pass_("wrong"))
    p.user("demo")
    p.pass_("demo")

    # The listings.
    n = len(mails)
    sizes = [len(m) for m in mails]
    equal("stat", p.stat(), (n, sum(sizes)))
    equal("list", p.list()[1], [b"%d %d" % (i, size) for i, size in enumerate(sizes, 1)])
    equal("list 3", p.list(3), b"+OK 3 %d" % sizes[2])
    refused("list of none", lambda: p.list(n + 1))
    uids = ids(p, n)
    equal("different unique ids", len(set(uids)), n)
    equal("uidl 3", p.uidl(3), b"+OK 3 " + uids[2])

    # The messages.
    for i, mail in enumerate(mails, 1):
        equal(f"retr {i}", message(p.retr(i)), mail)
        header, body = mail.split(b"\r\n\r\n", 1)
        equal(f"top {i} 0", message(p.top(i, 0)), header + b"\r\n\r\n")
        lines = re.findall(rb"[^\n]*\n", body)
        equal(f"top {i} 4", message(p.top(i, 4)), header + b"\r\n\r\n" + b"".join(lines[:4]))
        equal(f"top {i} of all", message(p.top(i, 1000000)), mail)

    # The maildrop belongs to one session.
    second = connect()
    second.user("demo")
    equal("second session", b"[IN-USE]" in refused("second session", lambda: second.pass_("demo")), True)
    second.close()

    # What is deleted comes back with RSET.
    p.dele(1)
    p.dele(3)
    equal("stat", p.stat(), (n - 2, sum(sizes) - sizes[0] - sizes[2]))
    equal("list", [int(line.split()[0]) for line in p.list()[1]], [2] + list(range(4, n + 1)))
    refused("retr of a deleted message", lambda: p.retr(1))
    refused("dele of a deleted message", lambda: p.dele(1))
    p.rset()
    equal("stat after rset", p.stat(), (n, sum(sizes)))
    equal("noop", p.noop()[:3], b"+OK")

    # A connection that breaks off deletes nothing.
    p.dele(4)
    p.close()
    p = login()
    equal("unique ids after a break", ids(p, n), uids)

    # QUIT deletes, and the others keep their ids.
    p.dele(2)
    p.dele(n)
    equal("quit", p.quit()[:3], b"+OK")
    p = login()
    equal("stat afterwards", p.stat(), (n - 2, sum(sizes) - sizes[1] - sizes[-1]))
    equal("unique ids afterwards", ids(p, n - 2), uids[:1] + uids[2:-1])
    for i, mail in enumerate(mails[:1] + mails[2:-1], 1):
        equal(f"retr {i} afterwards", message(p.retr(i)), mail)
    equal("quit", p.quit()[:3], b"+OK")


def main(security, port, certificate, *files):
    context = ssl.create_default_context(cafile=certificate)
    mails = []
    for name in files:
        with open(name, "rb") as f:
            mails.append(f.read())
    # poplib refuses lines longer than this, which the RFC does not forbid.
    poplib._MAXLINE = 1 << 20
    round_trip(lambda: connect(security, int(port), context), lambda: login(security, int(port), context), mails)
    print("round complete")


main(*sys.argv[1:])
