package query

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/hashmail/mailaccess/mailaccess/message"
)

// digest stands for a message id, or for a prepared base subject: threading asks no
// more of them than whether two are equal. Half of SHA-256 is enough that nobody
// finds two that are not.
type digest [16]byte

func digestOf(s string) digest {
	sum := sha256.Sum256([]byte(s))
	return digest(sum[:])
}

// MaxThreadKey is how long a thread key gets.
const MaxThreadKey = 1 + binary.MaxVarintLen64 + 1 + (2+maxReferences)*len(digest{})

// What a thread key says beside the sent date.
const (
	threadReply   = 1 << iota // the subject is that of a reply or a forward
	threadSubject             // the base subject is not empty; it comes first
	threadID                  // the message has an id; it comes next
)

// AppendThreadKey appends what a [Threader] needs of a header, in a form to be kept;
// it depends on nothing else. It is the sent date, and digests of the base subject,
// the message's id and its references.
func AppendThreadKey(b []byte, h message.Header) []byte {
	t, sent := h.Date()
	b = appendSent(b, t.Unix(), sent)
	ancestry := ReadAncestry(h)
	var flags byte
	subject := ""
	for f := range h.Fields() {
		if f.Is("subject") {
			var reply bool
			if subject, reply = preparedSubject(f); reply {
				flags |= threadReply
			}
			break
		}
	}
	if subject != "" {
		flags |= threadSubject
	}
	if ancestry.ID != "" {
		flags |= threadID
	}
	b = append(b, flags)
	add := func(s string) {
		d := digestOf(s)
		b = append(b, d[:]...)
	}
	if subject != "" {
		add(subject)
	}
	if ancestry.ID != "" {
		add(ancestry.ID)
	}
	for _, id := range ancestry.Parents() {
		add(id)
	}
	return b
}

// threadFields is a thread key taken apart.
type threadFields struct {
	seconds      int64
	sent         bool
	reply, hasID bool
	subject, id  digest // zero when there is none
	references   []byte // digests, in the memory of the key
}

// read takes key apart and reports whether it is one.
func (t *threadFields) read(key []byte) (ok bool) {
	if t.seconds, t.sent, key, ok = cutSent(key); !ok || len(key) == 0 {
		return false
	}
	flags, key := key[0], key[1:]
	t.reply, t.hasID = flags&threadReply != 0, flags&threadID != 0
	t.subject, t.id = digest{}, digest{}
	if len(key)%len(digest{}) != 0 {
		return false
	}
	if flags&threadSubject != 0 {
		if len(key) == 0 {
			return false
		}
		t.subject, key = digest(key), key[len(digest{}):]
	}
	if t.hasID {
		if len(key) == 0 {
			return false
		}
		t.id, key = digest(key), key[len(digest{}):]
	}
	t.references = key
	return true
}
