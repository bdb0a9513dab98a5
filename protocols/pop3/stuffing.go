package pop3

import (
	"bytes"
	"io"
)

// dotWriter writes the lines of a message as those of a multi-line answer: a dot
// that begins a line is doubled (RFC 1939, section 3). It copies nothing.
type dotWriter struct {
	w       io.Writer
	step    func() error // before each piece; nil: none
	midLine bool         // the last octet written was not the end of a line
	n       int64        // octets taken, those added not counted
}

var (
	dot  = []byte(".")
	crlf = []byte("\r\n")
)

// Write takes a piece of the message.
func (d *dotWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if d.step != nil {
		if err := d.step(); err != nil {
			return 0, err
		}
	}
	if !d.midLine && p[0] == '.' {
		if _, err := d.w.Write(dot); err != nil {
			return 0, err
		}
	}
	d.midLine = p[len(p)-1] != '\n'
	taken := 0
	for taken < len(p) {
		part := p[taken:]
		i := lineStart(part)
		if i >= 0 {
			part = part[:i+1] // the dot included
		}
		n, err := d.w.Write(part)
		taken += n
		d.n += int64(n)
		if err != nil {
			return taken, err
		}
		if i >= 0 {
			if _, err := d.w.Write(dot); err != nil {
				return taken, err
			}
		}
	}
	return taken, nil
}

// lineStart returns the place of the first dot that follows a LF, or -1. It looks for dots, of
// which base64, and so most of what is large, has none.
func lineStart(p []byte) int {
	for i := 1; i < len(p); i++ {
		j := bytes.IndexByte(p[i:], '.')
		if j < 0 {
			break
		}
		if i += j; p[i-1] == '\n' {
			return i
		}
	}
	return -1
}

// finish ends the last line, if the message did not, and the answer.
func (d *dotWriter) finish() error {
	if d.midLine {
		if _, err := d.w.Write(crlf); err != nil {
			return err
		}
	}
	_, err := io.WriteString(d.w, ".\r\n")
	return err
}
