package maildirname

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Generator makes names for new messages that nobody else makes: the usual form of
// the specification (https://cr.yp.to/proto/maildir.html), seconds, then M and
// microseconds, P and the process, Q and a counter, then the host:
//
//	1276528487.M364837P9451Q3.mail.example.org
//
// Two processes differ in host or P, those that had the same P one after the other in
// the time, and names of one process in Q. Its methods may be called concurrently.
// There is to be one for a process.
type Generator struct {
	host  string
	pid   int
	now   func() time.Time
	count atomic.Uint64
}

// maxHost bounds the host in a name, so that sizes, flags and whatever others append
// fit into NAME_MAX.
const maxHost = 100

// NewGenerator makes a generator for a host and a process. What a name may not hold is
// escaped in the host: "/" as \057 and ":" as \072, as the specification says, and in
// the same way the comma and the backslash, which would begin a field or an escape, and
// all that is not printable ASCII. A very long host is cut; an empty one is "localhost".
func NewGenerator(host string, pid int, now func() time.Time) *Generator {
	if host == "" {
		host = "localhost"
	}
	var b strings.Builder
	for i := range len(host) {
		piece := host[i : i+1]
		if c := host[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`/:,\`, c) >= 0 {
			piece = `\` + string([]byte{'0' + c>>6, '0' + c>>3&7, '0' + c&7})
		}
		if b.Len()+len(piece) > maxHost {
			break
		}
		b.WriteString(piece)
	}
	return &Generator{host: b.String(), pid: pid, now: now}
}

// Next returns a name that was never returned before.
func (g *Generator) Next() string {
	now := g.now()
	b := make([]byte, 0, 160)
	b = strconv.AppendInt(b, now.Unix(), 10)
	b = strconv.AppendInt(append(b, ".M"...), int64(now.Nanosecond()/1000), 10)
	b = strconv.AppendInt(append(b, 'P'), int64(g.pid), 10)
	b = strconv.AppendUint(append(b, 'Q'), g.count.Add(1), 10)
	return string(append(append(b, '.'), g.host...))
}

// WithSizes appends the length of the file and its length with CRLF at the end of each
// line, in octets, to a name of [Generator.Next]: ",S=1355,W=1394". The result is a
// [Message.Base]. A size that is negative is left out.
func WithSizes(unique string, size, wire int64) string {
	b := append(make([]byte, 0, len(unique)+32), unique...)
	if size >= 0 {
		b = strconv.AppendInt(append(b, ",S="...), size, 10)
	}
	if wire >= 0 {
		b = strconv.AppendInt(append(b, ",W="...), wire, 10)
	}
	return string(b)
}
