"""A round through imaplib: imaplib_round.py starttls|tls PORT CERTIFICATE MAIL...

Each MAIL is a file with a message in canonical form, 12 of them. At the end they
are in INBOX after what was there, in this order, and all but the first three are
in the mailbox Łódź/Żagle.
"""

import base64
import imaplib
import re
import ssl
import sys


def equal(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r:.1500}\nwant {want!r:.1500}")


def ok(what, answer):
    """The data of an answer, which must be OK."""
    kind, data = answer
    equal(what + f" ({data!r:.300})", kind, "OK")
    return data


def utf7(name):
    """A mailbox name as RFC 3501, section 5.1.3, writes it."""
    def shift(m):
        b = base64.b64encode(m[0].encode("utf-16-be")).rstrip(b"=")
        return "&" + b.decode().replace("/", ",") + "-"
    return re.sub(r"[^\x20-\x7e]+", shift, name.replace("&", "&-"))


def connect(security, port, context):
    if security == "tls":
        m = imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=context, timeout=20)
    else:
        m = imaplib.IMAP4("127.0.0.1", port, timeout=20)
        ok("starttls", m.starttls(context))
    equal("state", m.state, "NONAUTH")
    return m


def text_of(data):
    """The literal of a fetch of one item of one message."""
    equal("parts of the fetch", len(data), 2)
    equal("end of the fetch", data[1], b")")
    size = int(re.search(rb"\{(\d+)\}$", data[0][0])[1])
    equal("size of the literal", len(data[0][1]), size)
    return data[0][1]


def numbers(data):
    return [int(n) for n in data[0].split()]


def refused(what, error, call):
    try:
        answer = call()
    except error:
        return
    equal(what, answer[0], "NO")


def round_trip(m, other, mails):
    # Before the login.
    refused("a wrong password", m.error, lambda: m.login("demo", "wrong"))
    ok("login", m.login("demo", "demo"))
    ok("authenticate", other.authenticate("PLAIN", lambda _: b"\0demo\0demo"))
    ok("noop", m.noop())
    ok("ID", m.xatom("ID", '("name" "imaplib")'))
    capabilities = ok("capability", m.capability())[0].split()
    for c in (b"IMAP4rev1", b"IDLE", b"UIDPLUS", b"NAMESPACE"):
        equal(f"{c} in {capabilities}", c in capabilities, True)
    equal("namespace", ok("namespace", m.namespace())[0], b'(("" "/")) NIL NIL')

    # Mailboxes.
    names = [re.fullmatch(rb'\([^)]*\) "/" "?([^"]*)"?', line)[1] for line in ok("list", m.list())]
    equal("mailboxes", sorted(names), [b"Archive", b"Drafts", b"INBOX", b"Junk", b"Sent", b"Trash"])
    box = utf7("Łódź/Żagle")
    ok("create", m.create(f'"{box}"'))
    refused("create again", m.error, lambda: m.create(f'"{box}"'))
    ok("subscribe", m.subscribe(f'"{box}"'))
    equal("lsub", [box.encode() in line for line in ok("lsub", m.lsub('""', utf7("Łódź/%")))], [True])
    ok("unsubscribe", m.unsubscribe(f'"{box}"'))
    equal("lsub afterwards", ok("lsub", m.lsub('""', utf7("Łódź/%"))), [None])
    refused("select of nothing", m.error, lambda: m.select("Nowhere"))

    # Append.
    for i, mail in enumerate(mails):
        flags = r"(\Seen \Flagged)" if i % 2 else None
        ok("append", m.append(f'"{box}"', flags, '"17-Jul-1996 02:44:25 -0700"', mail))
    n = len(mails)
    status = ok("status", m.status(f'"{box}"', "(MESSAGES UNSEEN UIDNEXT)"))[0]
    equal("status", status.endswith(b"(MESSAGES %d UNSEEN %d UIDNEXT %d)" % (n, n - n // 2, n + 1)), True)

    # Read only, and then for real.
    equal("examine", ok("examine", m.select(f'"{box}"', readonly=True)), [b"%d" % n])
    refused("store while read-only", m.error, lambda: m.store("1", "+FLAGS", r"(\Deleted)"))
    equal("select", ok("select", m.select(f'"{box}"')), [b"%d" % n])
    equal("uidnext", m.response("UIDNEXT")[1], [b"%d" % (n + 1)])
    equal("uidvalidity", m.response("UIDVALIDITY")[1][0].isdigit(), True)

    # Fetch.
    for i, mail in enumerate(mails, 1):
        header, body = mail.split(b"\r\n\r\n", 1)
        header += b"\r\n\r\n"
        equal(f"header {i}", text_of(ok("fetch", m.fetch(str(i), "(BODY.PEEK[HEADER])"))), header)
        equal(f"text {i}", text_of(ok("fetch", m.uid("FETCH", str(i), "(UID BODY.PEEK[TEXT])"))), body)
        part = ok("fetch", m.fetch(str(i), "(BODY.PEEK[]<20.100>)"))
        equal(f"partial {i}", text_of(part), mail[20:120])
        meta = ok("fetch", m.fetch(str(i), "(UID FLAGS INTERNALDATE RFC822.SIZE)"))[0]
        want = r"%d (UID %d FLAGS (%s) INTERNALDATE {date} RFC822.SIZE %d)" % (
            i, i, r"\Flagged \Seen" if i % 2 == 0 else "", len(mail))
        want = want.replace("{date}", '"17-Jul-1996 02:44:25 -0700"').encode()
        equal(f"metadata {i}", meta.replace(rb" \Recent", b"").replace(rb"\Recent", b""), want)
        equal(f"internal date {i}", imaplib.Internaldate2tuple(meta)[:3], (1996, 7, 17))
    whole = ok("fetch all", m.fetch(f"1:{n}", "(RFC822)"))
    equal("all messages", [part[1] for part in whole if isinstance(part, tuple)], mails)
    structure = ok("structure", m.fetch("11", "(BODYSTRUCTURE)"))[0]
    equal(f"structure {structure}", all(s in structure.upper() for s in (b'"MIXED"', b'"PLAIN"', b'"RFC822"', b'"INNER"')), True)
    equal("unseen after fetch", numbers(ok("search", m.search(None, "UNSEEN"))), [])

    # Search.
    for criteria, want in (
        ("ALL", list(range(1, n + 1))),
        ("FLAGGED", list(range(2, n + 1, 2))),
        ('SUBJECT "python.5."', [5]),
        ('OR SUBJECT "python.2." NOT UID 1:11', [2, 12]),
        ('TEXT "goes on"', [6]),
        ("BEFORE 1-Jan-1990", []),
        ("SENTSINCE 12-Jul-2025", [12]),
        ("LARGER 100000", [12]),
    ):
        equal("search " + criteria, numbers(ok("search", m.search(None, criteria))), want)
        equal("uid search " + criteria, numbers(ok("search", m.uid("SEARCH", criteria))), want)
    m.literal = "GĘŚLĄ JAŹŃ".encode()
    equal("search with a literal", numbers(ok("search", m.uid("SEARCH", "CHARSET", "UTF-8", "BODY"))), [9])

    # Flags, copies, expunge.
    stored = ok("store", m.store("1:2", "FLAGS", r"(\Answered colour)"))
    equal("flags", all(rb"\Answered" in s and b"colour" in s and rb"\Seen" not in s for s in stored) and len(stored), 2)
    equal("keyword", numbers(ok("search", m.search(None, "KEYWORD", "colour"))), [1, 2])
    ok("uid store", m.uid("STORE", "1:3", "+FLAGS.SILENT", r"(\Deleted)"))
    ok("copy", m.copy("1:3", "Archive"))
    ok("uid copy", m.uid("COPY", f"1:{n}", "INBOX"))
    refused("copy to nowhere", m.error, lambda: m.copy("1", "Nowhere"))
    left = list(range(1, n + 1))
    for gone in ok("expunge", m.expunge()):
        del left[int(gone) - 1]
    equal("left after expunge", left, list(range(4, n + 1)))
    equal("uids after expunge", numbers(ok("search", m.uid("SEARCH", "ALL"))), left)
    ok("check", m.check())
    ok("close", m.close())

    # A mailbox comes, gets another name, and goes. Names may be quoted or not.
    ok("create", m.create("Passing"))
    ok("rename", m.rename("Passing", '"Passed by"'))
    ok("append", m.append('"Passed by"', None, None, mails[0]))
    equal("list", len(ok("list", m.list('""', '"Passed*"'))), 1)
    ok("delete", m.delete('"Passed by"'))
    equal("list", ok("list", m.list('""', '"Passed*"')), [None])

    # IDLE: another session's messages are told.
    ok("select", m.select("Trash"))
    count = int(ok("select", other.select("Trash"))[0])
    tag = m._new_tag()
    m.send(tag + b" IDLE\r\n")
    equal("continuation", m.readline()[:2], b"+ ")
    ok("append", other.append("Trash", None, None, mails[0]))
    await_line(m, rb"\* %d EXISTS\r\n" % (count + 1))
    ok("store", other.store("1", "+FLAGS", r"(\Flagged \Deleted)"))
    await_line(m, rb"\* 1 FETCH \(.*\\Flagged.*\)\r\n")
    ok("expunge", other.expunge())
    await_line(m, rb"\* 1 EXPUNGE\r\n")
    m.send(b"DONE\r\n")
    await_line(m, tag + rb" OK .*\r\n")
    ok("noop", m.noop())

    for session in (m, other):
        equal("logout", session.logout()[0], "BYE")


def await_line(m, pattern):
    """Reads lines, of which each is an untagged answer, up to one that matches."""
    while True:
        line = m.readline()
        if re.fullmatch(pattern, line):
            return
        equal(f"begin of {line!r}, awaiting {pattern!r}", line[:2], b"* ")


def main(security, port, certificate, *files):
    context = ssl.create_default_context(cafile=certificate)
    mails = []
    for name in files:
        with open(name, "rb") as f:
            mails.append(f.read())
    first, second = (connect(security, int(port), context) for _ in range(2))
    round_trip(first, second, mails)
    print("round complete")


main(*sys.argv[1:])
